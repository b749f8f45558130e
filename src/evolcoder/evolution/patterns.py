"""Word lists and regular expressions that the rules use to recognise failed evolutions.

All were observed in answers of models with 0.5 to 1.5 billion parameters. Phrases are written in
the output form of `text.words`: lower case, single blanks, no punctuation.

>>> candidate.new_phrase(ABOUT_THE_PROMPT)   # doctest: +SKIP
'more challenging'
"""

import re

Phrases = dict[str, tuple[str, ...]]
"""Phrases by their longest word, so that only few are searched for in a text."""


def _phrases(text: str) -> Phrases:
    found: Phrases = {}
    for line in text.strip().splitlines():
        key = max(line.split(), key=len)
        found[key] = (*found.get(key, ()), f" {line.strip()} ")
    return found


EMPTY_WORDS = frozenset(
    """efficient efficiently efficiency well documented readable readability comment clear clearly
    concise robust properly correctly correct best practice optimized optimised appropriate
    additional additionally programming language code program function write create include
    proper necessary implementation implement solution various different certain specific
    requirement task problem new harder complex challenging step input output handle result
    ensuring ensure also provide provided given value element called named return returned
    within perform process processing way approach method use used generate specified original
    desired performance scalable scalability maintainable user-friendly""".split()
)
"""Filler words that make a task longer but not harder."""

OPENINGS = frozenset(
    """write create implement generate build design construct develop make find convert rewrite
    refactor edit modify fix add remove update delete select calculate compute determine describe
    explain compare list name show print output return sort reverse count check validate parse
    extract classify suggest propose provide give solve fit balance combine merge split read
    identify analyze analyse optimize optimise transform insert define declare assign initialize
    initialise test evaluate discuss compress segment devise set store complete extend replace
    format display draw simulate plot predict train how what why which is can could should where
    does do are will would who change consider suppose assume imagine adapt decide group filter
    rank search detect encode decode encrypt iterate join query apply retrieve fetch get configure
    debug translate outline state say rename arrange turn normalize tell let access append
    assert concatenate export import load loop map measure multiply rotate save scrape send start
    subtract swap take traverse verify you capitalize populate enumerate multiply divide output
    repeat produce demonstrate illustrate recommend program code call run estimate summarize
    """.split()
)
"""Words that can begin a request."""

WEAK_OPENINGS = frozenset(
    """in for using use after based a an the when given if from as on with there each your
    students""".split()
)
"""Words that can begin a task if a request follows."""

ANOTHER_TASK = re.compile(
    r"(?:write|create|implement|build|develop|design|construct|generate|provide|define)"
    r" an? (?:[\w+#]+ ){0,3}?(?:function|program|algorithm|script|class|method|query|code)\b",
    re.IGNORECASE,
)
"""Start of an addition that is another task."""

DEMANDS = re.compile(
    r"\b(?:must|should|shall|needs?|has to|within|at most|no more than|in [OΘ]\b|use|using|with"
    r"|require|run|achieve|ensure|reduce|improve|optimi[sz]e|avoid)\b",
    re.IGNORECASE,
)
"""Words that require a bound rather than state it."""

ASKS = re.compile(
    r"\?|(?:^|[.;:,]\s+|\bthen\s+|\band\s+)(?:please\s+)?(?:write|create|implement|generate|build"
    r"|design|construct|develop|make|find|convert|rewrite|refactor|modify|fix|add|calculate"
    r"|compute|determine|describe|explain|compare|list|show|print|return|sort|count|check|select"
    r"|suggest|identify|solve|give|use|output|report|decide|propose)\b|\byour task\b|\bmust\b"
    r"|\bshould\b|\bneeds? to\b",
    re.IGNORECASE | re.MULTILINE,
)
"""A request within a text."""

REFUSES = re.compile(
    r"\A\W*(?:i'?m sorry|i am sorry|sorry,|i apologi[sz]e|i can(?:'t|not)|i'm (?:unable|not able)"
    r"|unfortunately, i|as an ai|抱歉|对不起|很遗憾|作为一个?(?:ai|人工智能)|申し訳|죄송|извините"
    r"|к сожалению, я|lo siento|désolé|je suis désolé|es tut mir leid|tut mir leid|desculpe"
    r"|sinto muito|mi dispiace"
    r"|عذر|آسف|क्षमा कर)",
    re.IGNORECASE,
)
"""Opening of a refusal."""

ABOUT_THE_PROMPT = _phrases("""
original task
original problem
original question
original prompt
new task
new problem
new version of the
harder task
harder problem
harder version
rewritten task
task harder
problem harder
task above
problem above
above task
previous task
modified task
modified problem
more challenging
more difficult
more complex
increase difficulty
increase the difficulty
add complexity
bit harder
incorrect code
erroneous code
wrong code
misleading code
piece of code that
mislead
misleading
additional requirements
additional constraints
more requirements
new requirements
concrete requirements
add constraints
add requirements
add a requirement
the first task
common requirement
more specific one
stricter demand
several steps
reasoning steps
steps of reasoning
more reasoning
steps of thinking
clever solution
clever one
simple solution
simplest way
rarer and more specific
less common requirement
programming task
this task requires
this task is
the task requires
the task is to
this problem requires
does not meet
does not do
has a mistake
new demand
do not mend
same code must
something harder
not mend it
not mend the
should not mend
to be mended
does not do yet
you could ask
ask for the specific
""")
"""Talk about the rewriting instead of a task."""

ABOUT_THE_PROMPT_ELSEWHERE = re.compile(
    r"原(?:来的?)?任务|新任务|上述任务|这个任务(?:要求|需要|更)|编程任务|更难|更具挑战|增加(?:任务)?(?:的)?难度|请用中文书写"
    r"|元の課題|新しい課題|課題をより|より難しく|プログラミング課題|日本語で書いて"
    r"|원래 과제|새 과제|더 어렵게|프로그래밍 과제|한국어로 쓰"
    r"|исходн\w+ задач|нов\w+ задач|задач\w+ (?:труднее|сложнее)|усложнит|пишите по-русски"
    r"|tarea original|nueva tarea|tarea más difícil|tarea de programación"
    r"|tâche d'origine|nouvelle tâche|tâche plus difficile|tâche de programmation"
    r"|tarefa original|nova tarefa|tarefa mais difícil|tarefa de programação"
    r"|compito originale|nuovo compito|compito più difficile|compito di programmazione"
    r"|ursprüngliche\w* aufgabe|neue aufgabe|aufgabe schwieriger|programmieraufgabe",
    re.IGNORECASE,
)
"""Talk about the rewriting in other languages."""

EXPLAINS_ELSEWHERE = re.compile(
    r"我们(?:可以|需要|将)|首先，我们|以下是[^。\n]{0,12}(?:代码|实现|示例|步骤)|解决方案|这段代码|该函数使用"
    r"|具体步骤|このコードは|以下のコード|以下は[^。\n]{0,12}(?:コード|実装)|이 코드는"
    r"|다음은[^.\n]{0,12}코드"
    r"|因此需要|是一种[^。\n]{0,30}(?:过程|方法|技术)|首先[^。\n]{1,40}然后[^。\n]{1,40}"
    r"| — это (?:когда|слово|один|способ|процесс)|можно использовать (?:метод|функци)|вы сможете"
    r"|мы (?:можем|будем)|вот (?:код|пример|решение)|этот код|эта функция|для решения этой"
    r"|podemos|aquí (?:está|tienes)|este código|para resolver est"
    r"|aqui está|esta função (?:usa|recebe)"
    r"|possiamo|ecco il codice|questo codice|per risolvere quest"
    r"|nous pouvons|voici (?:le|un) code|ce code|pour résoudre cette"
    r"|wir können|hier ist der code|dieser code|um diese aufgabe zu",
    re.IGNORECASE,
)
"""Phrases of a solution or explanation in other languages."""

ASKS_TO_ASK = re.compile(
    r"\bask for (?:the \w+ of|an? (?:\w+ )?(?:function|script|program|query|class|method))\b",
    re.IGNORECASE,
)
"""An instruction to ask for something instead of the requirement itself. Asking a user for input
does not match."""

EXPLAINS = _phrases("""
to solve this
to solve the problem
to solve the task
to achieve this
to accomplish this
to do this
you can use
you could use
you may use the following
you will need to
you might want to
you can solve
you can modify
you can do this
you can follow
follow these steps
we can
we could
we need to
we will
we have to
we first
we then
here's how
here is how
here's a
here is a solution
here is the solution
here is the code
here is an implementation
the correct solution
the correct answer
the correct code
the solution is
the answer is
this code
this function will
this function uses
this function takes
this function works
this script
this query
this solution
this program will
this approach
this snippet
this method
you would use
you would implement
you would need
step 1
step 2
for example you
could be done
can be done by
can be achieved
then iterate
iterate over all
iterate through
by iterating
simply use
simply call
i will
i would
i have
""")
"""Phrases of a solution or explanation."""

EXPLAINING_OPENINGS = frozenset(["the", "this", "to", "a", "an"])
"""First words of an addition that explains, unless it contains a requirement."""

EXPLAINING_LATER = EXPLAINING_OPENINGS | set(
    "if it it's its these those that there here so then".split()
)
"""First words of later sentences that continue an explanation."""

SENTENCES = re.compile(r"(?<=[.!?])\s+")
"""Separator of sentences."""

OBLIGES = re.compile(r"\b(?:must|may|should|shall|needs?|ha(?:s|ve) to|allow)\b", re.IGNORECASE)
"""Modal verbs that turn an explanation into a requirement."""

MEANS = re.compile(
    r"use (?:an?|the) (?!built-in)(?:(?!to\b)\S*[^\s.,] ){0,3}?"
    r"(?:loop|selector|statement|clause|flag|keyword|subquery|(?<=use a )function(?= to\b)"
    r"|(?<=[)'\"`] )(?:method|function))\b",
    re.IGNORECASE,
)
"""An opening that prescribes how to do what the parent asks for.

A function or method without a name in code may be the one that the parent asks for.
"""

PRESCRIBES = re.compile(
    r"(?:then,? )?(?:use|using|add|create|write)(?! (?:an? |the )?built-in)(?: [\w+]+'s)?"
    r" (?:\S+ ){0,5}?(?:loop|library|module|client|statements?|clause|lines? of code|counter"
    r"|(?:try|catch|except|if)\S* block|(?:`[^`]+`|'[^']+'|\S+\(\)) (?:function|method)"
    r"|(?<=the )`[^`]+`(?= to\b))(?=[\s,.;]|$)(?!,? (?:that|which|so that|must|should|may)\b)",
    re.IGNORECASE,
)
"""An opening that names the parts of a program rather than what it must do."""

UNUSUAL = re.compile(
    r"\bunusual inputs?\b(?!,? (?:such as|like|e\.g\.|for example))", re.IGNORECASE
)
"""The prompt's own words, without saying which input."""

FORBIDS = re.compile(
    r"\b(?:without(?: the use of| using)?|not (?:to )?use|no) (?:any |an? |the )?(?:built-in )?"
    r"[`'\"]?([\w.+]{3,30})",
    re.IGNORECASE,
)
"""What a task rules out (group 1)."""

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("ascending", "descending"),
    ("recursion", "iteration"),
    ("recursive", "iterative"),
    ("recursively", "iteratively"),
    ("uppercase", "lowercase"),
    ("case-sensitive", "case-insensitive"),
)
"""Pairs of demands that cannot both be met."""

ALTERNATIVES = frozenset(
    """or either parameter option optional flag argument ties tie equal both compare versus second
    another otherwise if""".split()
)
"""Words of an addition that offers the opposite as a choice, or for another part."""

DONE_BY: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(wanted, re.IGNORECASE), re.compile(code))
    for wanted, code in (
        (
            r"\bcase\b|capital|upper-?case|lower-?case",
            r"lower\(|upper\(|casefold\(|IGNORECASE|/i\b",
        ),
        (
            r"\bempty\b",
            r"if not \w|len\(\w+\) ?(?:==|<|>) ?[01]|\.length ?===? ?0|isEmpty|empty\(|if \(!\w",
        ),
        (r"\bnegative\b", r"< ?0|abs\(|<= ?0"),
        (r"\b(?:none|null)\b", r"\bNone\b|\bnull\b"),
        (r"\b(?:exceptions?|errors?|\w+error)\b", r"\b(?:raise|throw|except|catch)\b"),
        (
            r"punctuation|special characters|non-alphanumeric",
            r"isalnum|isalpha|punctuation|sub\(|replace\(",
        ),
        (r"\bduplicates?\b", r"\bset\(|distinct|DISTINCT|new Set"),
        (r"\b(?:blanks?|spaces?|whitespace)\b", r"strip\(|trim\(|split\(\)|replace\(\W? "),
        (r"\bzero\b", r"== ?0\b|!= ?0\b"),
    )
)
"""What a demand names -> what code has that does it already."""

STATES = re.compile(
    r"\A(?:(?!(?:that|which|if|when|where|who|how|what|whether)\b)[\w'-]+ ){1,5}"
    r"(?:is|are|was|were|can|could|will|has|have|leads?|means)\b",
    re.IGNORECASE,
)
"""A sentence that begins with a statement."""

BOUND_WORDS = frozenset("time space extra run take number element array list log".split())
"""Words of any complexity bound."""

BEHAVIOUR = re.compile(
    r"\b(?:ignor|skip|rais|throw|return|reject|refus|leave out|round|limit|accept|print|exit|includ"
    r"|exclud|treat|group|rank|sort|compar|replac|merg|split|count|report|keep|kept|stop|warn"
    r"|stor|remov)\w*",
    re.IGNORECASE,
)
"""Words that say what a program does."""

CONDITION = re.compile(
    r"\b(?:if|when|unless|without|except|at (?:most|least)|(?:more|fewer|less|longer|larger) than"
    r"|only|between|each|every|case|empty|negative|missing|\d+)\b",
    re.IGNORECASE,
)
"""Words that say when it does it, or how far."""

VAGUE = re.compile(
    r"(?:then,? )?(?:add (?:a |an )?(?:check|error|test|validation|comment)|check|ensure|make sure"
    r"|handle|use|create|implement|optimi[sz]e|improve)\b",
    re.IGNORECASE,
)
"""Openings of additions that often say little."""

REQUEST_WORDS = frozenset("add check see make sure ensure try line let need new".split())
"""Words of an addition that say nothing by themselves."""

GIVES_REASONS = re.compile(
    r"\b(?:because|since (?:it|they|there|this|the)"
    r"|as (?:it|they|there|this|the) \w+ (?:is|are|has|have)"
    r"|as (?:it|they|there|this) (?:is|are|has|have|will|would|cannot|can)|which means"
    r"|this (?:is|means|will|ensures)"
    r"|porque|ya que|puesto que|parce que|puisque|weil|pois|já que|perché è|poiché|потому что)\b"
    r"|因为|なぜなら|からです|때문",
    re.IGNORECASE,
)
"""What explains rather than demands, in the rest of a sentence that was begun."""

CONSEQUENCE = re.compile(
    r"\b(?:must|should|shall|may|can|will|be|is|are|return|rais|throw|print|show|display|skip|ignor"
    r"|leav|keep|stay|log|exit|ask|output|report|treat|count|give|yield|produce|call|retry|create"
    r"|assume|set|remov|insert|use|do|add|write|stop|end|replac|increas|chang|hide|fade|turn|move"
    r"|overwrit|append|round|convert|repeat|delet|renam|open|read|send|updat|close|wait|default"
    r"|includ|exclud|announc|place|put|stack|begin|start|fill|reset|save|reload|scale|become"
    r"|clear|mark|compar|sort|take|let|try|make|have|has|prompt|disabl|enabl)\w*",
    re.IGNORECASE,
)
"""Verbs of what shall happen in a case."""

BEGINS_A_CASE = re.compile(r"(?:If|When|While|Unless)\b")
"""The beginning of a sentence that needs a comma and a consequence."""

MET_ANYWAY = re.compile(
    r"\b(?:using|use of) any (?:external|third[- ]party|additional|extra|outside|other) "
    r"(?:\w+ ){0,2}?(?:librar|package|module|dependenc|tool|framework|resource|context|data)\w*"
    r"|\b(?:written|printed|output) to (?:the (?:console|screen|terminal|user)|standard output)\b"
    r"|\bcounted (?:multiple|several) times\b|\bcounted as separate\b"
    r"|\b(?:must|should) be (?:counted|considered|handled)[.!]?$"
    r"|\bequal must keep their (?:original |relative )?order\b",
    re.IGNORECASE,
)
"""A demand that nearly every program meets, in the rest of a sentence that was begun."""

TAKES_BACK = re.compile(
    r"\bit (?:can|could|may|might)(?: also)? be\b|\bcan be done\b|\b(?:might|may|would) be O\(",
    re.IGNORECASE,
)
"""What takes a bound back in the rest of a sentence that demands it."""

BUILT_IN_FOR = re.compile(
    r"\bwithout using any (?:built-in|predefined|existing) (?:[\w+#.]+ ){0,2}?"
    r"(?:functions?|methods?|librar(?:y|ies)|modules?|tools?) (?:for|to) ([^.;]+)",
    re.IGNORECASE,
)
"""A demand without a ready-made function, with what that would do (group 1)."""

READY_MADE = re.compile(
    r"\b(?:sort|revers|sum|add|max|min|larg|small|len|count|repla|split|join|conver|search|find|repeat"
    r"|round|power|root|factorial|gcd|common|filter|map|pars|pair|permut|combin|dat|strip|trim|hash"
    r"|numeric|digit|encod|decod|encrypt|random|shuffl|median|mean|averag|palindrom|uppercas|capital|lower)",
    re.IGNORECASE,
)
"""What standard libraries have functions for, or are often asked to do in one call."""

OWN_SUBJECT = frozenset({"calc", "comp", "chec", "dete", "gene"})
"""Stems of what is done to the task's own subject: to calculate, compute, check or generate it."""

CASE_OF_INPUT = re.compile(
    r"If (?:the|a|an) (?:number|argument|input|value|integer) (?:is|has|was)\b[^,]{0,40},",
    re.IGNORECASE,
)
"""A case that only an input can be."""

FIXED_NUMBERS = re.compile(r"\b(?:(?:from|between) \d+ (?:to|and) \d+|first \d+)\b", re.IGNORECASE)
"""Numbers that a task fixes."""

TAKES_INPUT = re.compile(
    r"\b(?:functions?|methods?|users?|inputs?|arguments?|parameters?|given|takes?|reads?|accepts?|enter)\b",
    re.IGNORECASE,
)
"""What says that a task has an input."""

LITERAL = re.compile(
    r"\d|[\[\]{}\"'`]|\b(?:zero|none|null|true|false|empty|nothing|error|exception)\b",
    re.IGNORECASE,
)
"""Values, which are new wherever they stand."""

VAGUE_WORDS = EMPTY_WORDS | set(
    """gracefully appropriate appropriately accordingly handle handled handling properly expected
    case work works working same way thing things data information outcome meaningful suitable
    necessary needed required respective respectively following example return print show display
    output give gives show must it its""".split()
)
"""Words that say little by themselves in the rest of a sentence that was begun."""

RIGHT_ELSEWHERE = re.compile(
    r"correctamente|corretamente|correttamente|correctement|\bkorrekt|\brichtig\b|правильно|корректно"
    r"|正しく(?:動作|処理|実行|返)|올바르게|올바른지|정상적으로|正确地?(?:处理|返回|运行|工作)",
    re.IGNORECASE,
)
"""A demand for correctness in other languages."""

INSTEAD = re.compile(r"\binstead\b(?! of\b)", re.IGNORECASE)
"""A requirement that replaces an earlier one."""

INSTEAD_OF = re.compile(r"\binstead of ([\w'`-]+(?: [\w'`-]+){0,4})", re.IGNORECASE)
"""A requirement with the thing that it replaces (group 1)."""

HEADING = re.compile(
    r"^[ \t]*(?:#{1,6} +\S|\*\*[^*\n]+\*\*:?[ \t]*$|\*\*[^*\n]+:\*\*)", re.MULTILINE
)
"""A heading line."""

BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)]) +\S", re.MULTILINE)
"""A list item."""

PLACEHOLDER = re.compile(
    r"\{task\}|\[(?:insert|your|task|code)[^\]]*\]|<(?:insert|your)[^>]*>", re.IGNORECASE
)
"""An unfilled placeholder."""

BOUND = re.compile(
    r"(?<![A-Za-z0-9_])[OΘ]\s?\(\s*[^)]{1,40}\)|\b(?:linear|logarithmic|constant|quadratic|linearithmic)"
    r"[- ](?:time|space)"
)
"""A complexity bound in symbols or words."""

NEW_REQUEST = re.compile(
    r"^[ \t]*(?:(?:\d+[.)]|[-*•]|(?:task|problem|question|version) \d+ *[:.])[ \t]*)?"
    r"(?:write|create|implement|design|develop|build|construct|generate) an?\b",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that starts a task."""
