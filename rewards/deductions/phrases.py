"""The phrases around a statement that show what a sentence does with it, in lists of one phrase per line, to be extended.

To teach the reader a phrase, add a line to its list and, to tests/deduction_sentences.json, texts with what they assert. A
phrase is in lower case, with names as marks such as <S0>. It is a regular expression: `\\w*` stands for any ending, `(?:a|b)`
for either, `(?! x)` for what must not follow. Where two phrases begin alike, the first one that matches counts.
"""

# ---------------------------------------------------------------- a statement follows, affirmed or denied

# before a statement; skipped
LEAD_INS = r"""
okay
ok
so
thus
hence
therefore
then
consequently
accordingly
now
also
and
but
moreover
furthermore
finally
anyway
indeed
clearly
obviously
similarly
likewise
yes
no(?=[,:])
great
good
right
alright
hmm
oh
actually
however
conversely
in fact
as a result
in conclusion
in summary
overall
first
second
third
lastly
only
this is it
by (?:elimination|process of elimination|exclusion)
there is only one (?:option|possibility|way) left
conclusion
result
deduction
note
answer
step(?: \d+)?
∴
→
⇒
=>
->
"""
# "clue 3 … that" before a statement; skipped
IMPLY = """
means
implies
imply
gives
give
shows
show
proves
confirms
tells
follows
"""
# "we … that" before a statement; skipped
CONCLUDE = """
conclude
concluded
deduce
deduced
infer
inferred
know
see
get
find
found
have
derive
derived
established
shown
determined
obtain
say
now know
"""
# before a statement; denies it
DENIALS = r"""
there is no way(?: that)?
it is false that
it is not so that
it is not (?:the case|true|possible) that
it is impossible (?:that|for)
(?:we|i)(?: can)? (?:rule|ruled) out(?: that)?
(?:this|that|which|clue \d+) rules out(?: that)?
it cannot be(?: the case)? that
no way(?: that)?
"""
# within a statement; skipped
ADVERBS = """
therefore
thus
hence
consequently
definitely
certainly
clearly
obviously
indeed
surely
actually
necessarily
already
still
also
both
really
now
specifically
then
in fact
of course
by elimination
as well
for (?:sure|certain)
as (?:required|needed|expected)
"""
# words of what may stand before a colon without a statement ("The room, from clue 3 and step 2: …"); with any other word,
# what comes after the colon may be a lie, or half a clue
LABELS = """
the
this
that
it
we
what
is
are
have
has
gives
leaves
remains
remaining
survives
matters
fits
goes
consider
putting
forces
summarize
summing
sum
up
short
here
everything
following
settles?
decides?
fires
pins?
applies
left
follows
know
known
established
fixed
forced
true
certain
clear
immediate
shown
proved
deduced
confirmed
satisfied
correct
corrected
start
final
key
main
important
direct
easy
simple
good
news
new
another
only
one
option
last
rest
same
together
case
so
again
too
for
as
from
by
with
of
in
at
on
and
to
us
combine
combining
clues?
steps?
rules?
facts?
deductions?
inferences?
conclusions?
observations?
results?
consequences?
answers?
question
notes?
summary
solution
eliminations?
murder(?:er)?(?:'s)?
killer(?:'s)?
culprit
victim(?:'s)?
body(?:'s)?
suspects?
weapons?
rooms?
times?
motives?
places?
positions?
locations?
movements?
moves?
carrier
route
path
scene
crime
"""
# between two clauses
JOINTS = """
and so
so(?! that)
hence
therefore
thus
which means(?: that)?
which implies(?: that)?
meaning(?: that)?
because
since
but
while
whereas
"""

# ---------------------------------------------------------------- nothing is asserted

# what elaborates the sentence asserts nothing either
HEDGES = r"""
might
may
maybe
perhaps
possibl\w+
possibilit\w+
probabl\w+
presumably
(?:un)?likely
seems?
appears?
apparently
would
should
could(?! (?:not|only))
can(?! (?:conclude|deduce|infer|rule|see|find|get|only|be (?:ruled|eliminated|excluded)))
think
thought
believe
guess\w*
doubt
sure
unsure
unclear
uncertain
plausibl[ey]
conceivabl[ey]
tentative\w*
provisional\w*
speculat\w+
at first (?:glance|sight|look|blush)
on the face of it
naively
for now
for (?:instance|example)
e\.g
not necessarily
or vice versa
or the (?:reverse|opposite|other way)
whether
candidates?
(?:not|cannot) rule out
"""
# what elaborates the sentence asserts nothing either
CONDITIONS = r"""
(?<!only )if(?! and only if)
unless
provided
otherwise
or else
when
whenever
in case
in the event
were to
try
alternatively
as long as
so long as
in (?:this|that|such a|which|one|the other|another) (?:case|scenario|event|situation|branch)
in the case (?:that|of)
under (?:this|that|the|such an)(?: \w+)? (?:assumption|hypothesis|supposition|scenario|option|reading)
(?:since|because|as|for|or) then
"""
# the sentence reports or retracts a statement
QUOTATIONS = r"""
says?
said
states?
claim\w*
statement
sentence
insists?
quoted?
according
given (?:that|in)
recall
remember
mistaken?
wrong
incorrect
(?<!is )false
untrue
(?<!is )not true
retract
misread
"""
# the sentence says what is to be shown or done
PLANS = """
needs?
goal
to (?:prove|show|check|verify|confirm)(?= ?:)
show that
prove that
determine
check
verify
want
plan
let me
let's
"""

# ---------------------------------------------------------------- something is supposed

# what one of several cases is called ("option 2: …")
CASES = """
scenario
(?:sub-?)?case
option
possibility
alternative
branch
hypothesis
attempt
trial
candidate
combination
variant
choice
"""
# before what is supposed
SUPPOSITIONS = r"""
suppos(?:e|ing)
assum\w+
imagine
hypothe\w+
pretend
what (?:if|happens)
alternatively
scenario
posit(?:ing)?\b
consider(?!\w* (?:the |each |all |only )*(?:clues?|rules?|steps?|facts?)\b)
postulat\w+
conjectur\w+
presum(?:e|ing)\b
let(?:'s| us) (?:say|try|test|assume|take|guess|start with|go with|put|place|set)
take the case
wlog
without loss of generality
reductio
(?:towards?|for|by way of) (?:a )?contradiction
for the sake of
case (?:split|analysis|distinction|work)
by cases
split(?:ting)? (?:on|into)
(?:first|initial|wild|educated|my|working|best) guess
(?:guess|idea|thought|theory|hunch|say) ?[:—–-]
"""

# ---------------------------------------------------------------- what was said is rejected or retracted

# reject what comes before them, and end a supposition
CONTRADICTIONS = r"""
contradict\w*
conflict\w*
violat\w+
inconsisten\w+
incompatib\w+
absurd\w*
impossibilit(?:y|ies)
clash\w*
at odds
breaks?(?= (?:the |a )?(?:clue|rule))
"""
# reject what comes before them
REFUSALS = r"""
impossible
invalid
nonsens\w*
fail(?:s|ed|ing)?
dead(?: end)?
dies?
unworkable
untenable
infeasible
no good
nope
false
wrong
incorrect
untrue
mistaken
too many
(?:is|are|was|goes) out(?! of)
(?:can|(?:does|do|did|would|will|can|could) )not (?:work|fit|hold|match|add up|make sense|check out|satisfy|happen|stand)
(?:says?|has it|requires?) otherwise
disagrees?
not (?:ok|okay|good)(?! (?:reason|evidence|enough))
not (?:work\w*|possible|valid|allowed|viable|feasible|consistent|compatible|right|correct|true|so|permitted|satisfied)
not the case
(?:eliminate|exclude|reject|discard|dismiss|rules?|ruling|drop|abandon|cross) (?:it|this|that|them|both)(?: out)?
(?:take back|retract|scratch|forget|ignore|disregard) (?:all|everything|the (?:whole|entire|last|previous))
(?:(?:kill|block|prevent|forbid|exclude|refute|preclude|want|need|demand|require)s) (?:it|this|that|him|her|them|both)
(?:not|never) both(?: of \w+)?(?=$|[.,;!)]| (?:hold|are true|can))
(?:exactly|only|at most) one(?: of (?:them|these|those|the two|the three))? (?:holds?|is true|(?:can|may|must) (?:hold|be true))
at most one(?=$|[.,;!)])
one or the other
unreachable
inaccessible
off[ -]limits
out of reach
too far
too late
again no
same (?:\w+ )?(?:problem|issue|trouble|story)
(?:discarding|dropping|rejecting|eliminating)(?=$|[.;!])
(?:that|this|it|which) (?:breaks|ruins|wrecks|spoils)
"""
# reject what comes before them, unless a name follows
DROPPED = """
eliminated
ruled out
ruled-out
excluded
rejected
discarded
dismissed
refuted
disproved
forbidden
prohibited
disallowed
precluded
blocked
killed off
closed
prevented
crossed out
struck out
crossed off
abandoned
invalidated
"""
# at the start of a sentence; take the last argument back as a slip
CORRECTIONS = """
no,? wait
no,? no
wait,? no
(?:actually,? )?wait(?: a (?:minute|second|moment|sec))?
actually
no
nope
no way
correction(?: needed)?
scratch that
scrap that
strike that
cancel that
hold on
hang on
oops
on second thought
not (?:quite|so fast)
my (?:mistake|bad)
mistake
error
sorry
never ?mind
"""
# anywhere in a sentence; take the last argument back
WITHDRAWALS = r"""
i take back
take (?:that|it) back
(?:that|this|it) (?:was|is) (?:wrong|false(?! that)|a mistake|incorrect|not right)
(?:scratch|ignore|forget|strike|disregard) (?:that|this|it|what)
i misread
i (?:made a|was) (?:mistaken?|wrong|error)
let(?:'s| me| us) (?:re-?(?:do|read|consider|think|check|examine|evaluate|visit)|start over|backtrack)
(?:that|this|it) (?:is|was) (?:a |the )?(?:problem|bad)
^(?:(?:too |very )?bad|ouch|uh-?oh|problem|undo|backtrack(?:ing)?|back up|q\.?e\.?a)(?=[.!:,;]|$)
"""
