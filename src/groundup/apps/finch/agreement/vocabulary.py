"""The words that the traps know: negations, opposites, numbers, units, days, and common ones.

English only. A language that is not listed here is judged by its words, numbers, names and order.
"""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _listed(
    """
    no not never none nothing nobody nowhere neither nor without cannot cant wont dont doesnt
    didnt isnt arent wasnt werent hasnt havent hadnt shouldnt wouldnt couldnt mustnt neednt aint
    lack lacks lacking unable except hardly barely rarely seldom fails failed refuse refuses
    refused
    """
)
"""Words that turn what they belong to round."""

_PAIRS = """
    enable/disable enabled/disabled enables/disables enabling/disabling allow/deny allow/forbid
    allowed/denied allowed/forbidden allows/denies allow/block allowed/blocked permit/forbid
    permitted/forbidden permit/prohibit permitted/prohibited on/off increase/decrease
    increased/decreased increases/decreases increasing/decreasing rise/fall rises/falls
    rose/fell grow/shrink up/down more/less more/fewer most/least higher/lower high/low
    highest/lowest maximum/minimum max/min above/below over/under before/after earlier/later
    early/late first/last start/stop started/stopped starts/stops begin/end begins/ends
    open/close open/closed opened/closed accept/reject accepted/rejected accepts/rejects
    approve/reject approved/rejected approve/deny approved/denied approved/declined
    accept/decline accepted/declined true/false yes/no positive/negative good/bad best/worst
    better/worse safe/unsafe valid/invalid legal/illegal possible/impossible correct/incorrect
    right/wrong right/left include/exclude included/excluded includes/excludes inside/outside
    in/out add/remove added/removed adds/removes install/uninstall lock/unlock locked/unlocked
    encrypt/decrypt encrypted/decrypted connect/disconnect connected/disconnected attach/detach
    push/pull buy/sell bought/sold send/receive sent/received credit/debit deposit/withdraw
    win/lose won/lost pass/fail passed/failed success/failure succeed/fail succeeded/failed
    active/inactive activate/deactivate activated/deactivated subscribe/unsubscribe
    visible/hidden show/hide shown/hidden public/private internal/external hot/cold warm/cool
    warmer/cooler heat/cool heavy/light long/short longer/shorter fast/slow faster/slower
    large/small larger/smaller big/small bigger/smaller full/empty new/old newer/older young/old
    rich/poor strong/weak hard/easy hard/soft easy/difficult always/never all/none all/some
    every/some both/neither everyone/nobody everything/nothing with/without for/against
    required/optional mandatory/optional must/may must/need gain/loss profit/loss import/export
    upload/download upgrade/downgrade expand/collapse ascending/descending ascend/descend
    arrive/depart arrival/departure arrives/departs enter/exit enter/leave day/night am/pm
    morning/evening today/tomorrow today/yesterday yesterday/tomorrow married/single alive/dead
    male/female man/woman he/she his/her him/her north/south east/west northern/southern
    eastern/western horizontal/vertical clockwise/counterclockwise sync/async
    synchronous/asynchronous refund/charge refunded/charged available/unavailable present/absent
    same/different similar/different increase/reduce increased/reduced raise/lower
    raised/lowered keep/delete keep/remove keep/discard create/delete created/deleted
    save/discard opt-in/opt-out guilty/innocent confirm/cancel confirmed/cancelled
    confirmed/canceled online/offline wet/dry wins/loses helps/hurts helpful/harmful
    agree/disagree agrees/disagrees like/dislike likes/dislikes appear/disappear happy/unhappy
    happy/sad satisfied/dissatisfied satisfied/unsatisfied likely/unlikely known/unknown
    usual/unusual necessary/unnecessary lawful/unlawful fair/unfair complete/incomplete
    direct/indirect regular/irregular relevant/irrelevant reversible/irreversible
"""


def _both_ways(pairs: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in pairs.split():
        one, other = pair.split("/")
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


OPPOSITES = _both_ways(_PAIRS)
"""For each word those that say the opposite."""

TURNING = ("un", "dis", "in", "im", "il", "ir", "non", "de", "mis", "anti", "counter")
"""Syllables that make a word its opposite."""

_COUNTED = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
"""
_OTHER_NUMBERS = """
    thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90 hundred=100 thousand=1000
    million=1000000 billion=1000000000 dozen=12 half=1/2 quarter=1/4 first=1st second=2nd third=3rd
    once=1x twice=2x double=2x triple=3x
"""
NUMBERS = {word: str(n) for n, word in enumerate(_COUNTED.split())}
NUMBERS |= {one.split("=")[0]: one.split("=")[1] for one in _OTHER_NUMBERS.split()}
"""The number that a word stands for."""

CALENDAR = _listed(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may
    june july august september october november december mon tue wed thu fri sat sun jan feb mar
    apr jun jul aug sep sept oct nov dec spring summer autumn winter today tomorrow yesterday
    tonight morning afternoon evening noon midnight
    """
)
"""Days, months and times of the day."""

UNITS = _listed(
    """
    mm cm m km in inch inches ft foot feet yd mile miles mg g kg t lb lbs oz ml l litre litres
    liter liters gallon gallons ms s sec second seconds min minute minutes h hour hours day days
    week weeks month months year years kb mb gb tb kib mib gib byte bytes bit bits hz khz mhz
    ghz w kw kwh v a ma c f k celsius fahrenheit kelvin usd eur gbp jpy dollar dollars euro
    euros pound pounds cent cents percent degrees am pm
    """
)
"""Units, which belong to the number before them."""

LETTERS = _listed("a am c f g h k l m s t v w in")
"""Units that are letters or other words as well: they count behind a number alone."""

COMMON = _listed(
    """
    a an the this that these those it its is are was were be been being am i you he she we they
    me him her us them my your his our their of to in on at by for from with as and or but if
    then so do does did have has had will would can could shall should may might must there here
    what which who whom whose when where why how please thank thanks sorry hello hi dear ok okay
    yes just also very too only still now well let lets all any some each
    """
)
"""Words that say little by themselves."""
