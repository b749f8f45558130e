"""What a task asks for, judged by its first words: code, an explanation, or either.

English is assumed; questions are also recognised in other languages.

>>> wanted_output("Explain how quicksort works.")
<WantedOutput.WORDS: 'words'>
"""

import re
from enum import StrEnum

_ASKS_FOR_PROSE = re.compile(
    r"\s*(?:what|why|which|who|when|where|is|are|does|do|can|should|explain|describe|discuss|define"
    r"|compare|contrast|(?:differentiate|distinguish) between|name|identify|classify|outline"
    r"|summari[sz]e|how (?:does|do|is|are|would|will)"
    r"|show the output|suggest an? (?:\w+ )?comment|(?:you need to )?read (?:the|a|this))\b",
    re.IGNORECASE,
)
_ASKS_FOR_PROSE_ELSEWHERE = re.compile(
    r"\s*[¿¡]?(?:解释|说明|描述|什么是|为什么|简述|比较|讨论|列举|説明|なぜ|설명|объясни|опиши"
    r"|что такое|почему|сравни|расскажи|explica|explique|descri|qué (?:es|son)\b|por qué"
    r"|o que é|qu'est|pourquoi|décri|erkläre|erläutere|beschreibe|was ist|warum"
    r"|اشرح|ما هو|ما هي|ما الفرق|समझाएँ|समझाइए|क्या है"
    r"|(?:in che )?cosa |che cos|cos['’]|spiega|descrivi|perché|qual è la differenza|qué diferencia"
    r"|(?:qual|quais) (?:é|são) as? diferença|quelle est la différence|à quoi sert|worin|wozu"
    r"|чем \w+ отлича|в ч[её]м разница|[^\n。]{0,40}とは何"
    r"|[^\n。]{0,60}(?:違い|仕組み|概念|意味|理由)[^\n。]{0,12}(?:説明|教え|述べ|何)"
    r"|[^\n。]{0,60}(?:区别|不同之处|原理)(?:是什么|在哪)|[^\n。]{0,40}有什么(?:区别|不同)"
    r"|[^\n.]{0,60}(?:차이|개념|원리|이유|의미)[^\n.]{0,12}(?:설명|무엇|알려))",
    re.IGNORECASE,
)
_ASKS_FOR_CODE = re.compile(
    r"\s*(?:please )?(?:write|create|implement|generate|build|design|construct|develop|code|convert"
    r"|rewrite|refactor|edit|modify|fix|program|devise|make)\b[^.?!\n]{0,200}?"
    r"\b(?:function|program|script|code|query|class|method|regex|regular expression|snippet|macro"
    r"|algorithm|loop|selector|statement|component|procedure|routine|server|page|form|app)s?\b",
    re.IGNORECASE,
)


class WantedOutput(StrEnum):
    """What a task asks for, judged by its wording."""

    CODE = "code"
    WORDS = "words"
    EITHER = "either"


def wanted_output(text: str) -> WantedOutput:
    """Return whether a task asks for code, for an explanation, or for either."""
    if _ASKS_FOR_PROSE.match(text) or _ASKS_FOR_PROSE_ELSEWHERE.match(text):
        return WantedOutput.WORDS
    return WantedOutput.CODE if _ASKS_FOR_CODE.match(text) else WantedOutput.EITHER
