"""Finish reasons: the words of servers and what they mean.

An answer is whole if the model ended it or called a tool, truncated if a limit of tokens ended it,
and broken off otherwise: the server aborted or filtered it, or failed. A word that is not known
here means broken off, since half an answer must not pass for a whole one. Case, and characters
other than letters, do not count: `MAX_TOKENS`, `max_tokens` and `maxTokens` are one word.

>>> normalize("end_turn"), normalize("MAX_TOKENS"), normalize("abort")
('stop', 'length', 'abort')
"""

import re

STOP = "stop"
LENGTH = "length"
TOOL_CALLS = "tool_calls"
MISSING = "missing"
"""The server gave neither a finish reason nor an answer."""

_WORDS = {
    STOP: """stop eos eostoken eosfound eogtoken endturn endofturn endoftext endofsequence endtoken
        stopsequence stopsequences stopstring stopstringfound stoptoken stopword matchedstop
        complete completed finish finished done natural finishreasonstop""",
    LENGTH: """length limit maxtokens maxtoken maxlength maxoutputtokens maxnewtokens
        maxcompletiontokens maxtokensreached maxpredictedtokensreached modellength tokenlimit
        contextlength contextlengthexceeded contextlengthreached contextwindowexceeded
        modelcontextwindowexceeded finishreasonmaxtokens""",
    TOOL_CALLS: "toolcalls toolcall tooluse functioncall functioncalls",
}
"""Ours -> the words of OpenAI, Azure, Anthropic, Cohere, DeepSeek, Gemini, llama.cpp, LM Studio,
Mistral, Ollama, OpenRouter, SGLang, TGI, Together and vLLM, as letters only."""
_OURS = {word: ours for ours, words in _WORDS.items() for word in words.split()}
_NO_LETTERS = re.compile(r"[^a-z]")


def normalize(word: str) -> str:
    """Return `stop`, `length` or `tool_calls` for a server's word; another one unchanged."""
    return _OURS.get(_NO_LETTERS.sub("", word.lower()), word)


def broke_off(word: str) -> bool:
    """Whether something other than the model or a limit of tokens ended an answer."""
    return normalize(word) not in _WORDS
