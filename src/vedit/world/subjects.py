"""What people say beside the edit itself: whose clip it is, what it shows, what it is for.

None of it changes what is asked, though some of it sounds as if it did ("make our ski trip look like autumn"): a text
encoder that has only read bare requests takes the words that it does not know for the ones that matter.
"""

from __future__ import annotations

import numpy as np


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split("|"))


_SCENES = _split("""
    garden|lake|river|street|city|harbour|market|kitchen|office|classroom|playground|stadium|castle|
    church|bridge|tower|airport|station|village|farm|field|vineyard|orchard|canyon|waterfall|cave|
    island|coast|pier|lighthouse|skyline|rooftop|balcony|courtyard|alley|tunnel|corridor|hallway|
    basement|attic|garage|workshop|factory|warehouse|shop|cafe|restaurant|bar|hotel|lobby|museum|
    gallery|theatre|stage|gym|pool|rink|racetrack|parking lot|motorway|crossroads|square|park|zoo|
    aquarium|barn|stable|beach|desert|dune|forest|meadow|mountain|glacier|valley|cliff|swamp|
    savannah|jungle|temple|monastery|fountain|monument|cemetery|campsite|living room|bedroom|bathroom|
    staircase|backyard|porch|terrace
""")
_THINGS = _split("""
    dog|cat|horse|parrot|rabbit|goldfish|cow|goat|chicken|duck|swan|fox|deer|bear|elephant|lion|
    penguin|dolphin|shark|turtle|bee|butterfly|car|truck|bus|tram|train|bicycle|motorbike|
    skateboard|scooter|boat|ferry|canoe|kayak|plane|helicopter|drone|kite|balloon|guitar|piano|
    violin|drum kit|camera|laptop|robot|toy|doll|puzzle|lego set|chessboard|football|tennis|
    basketball|baseball|golf|surfing|skating|cake|pizza|soup|coffee|bread|flowers|roses|tulips|
    cactus|tree house|windmill|tractor|crane|fire engine|statue|clock|lamp|candle|mirror|bride|
    groom|baby|toddler|twins|dancer|singer|drummer|chef|gardener|painter|barber|nurse|teacher|
    farmer|fisherman|clown|juggler|cyclist|runner
""")
_EVENTS = _split("""
    wedding|birthday|graduation|christening|anniversary|funeral|recital|concert|parade|carnival|
    festival|fair|match|race|marathon|tournament|road trip|train ride|honeymoon|holiday|vacation|
    cruise|hike|picnic|barbecue|camping trip|safari|school play|dance class|swimming lesson|ski trip|
    winter holiday|summer camp|new year's eve|halloween party|garden party|house tour|product launch|
    interview|lecture|podcast|vlog|cooking show|music video|trailer|documentary|commercial|short film|
    student film|travel diary|time lapse|drone flight|night out|rainy walk
""")
_PEOPLE = _split("""
    mum|mom|dad|sister|brother|daughter|son|grandma|grandpa|aunt|uncle|cousin|nephew|niece|
    husband|wife|boyfriend|girlfriend|friend|best friend|boss|client|teacher|neighbour|roommate|
    colleague|band|team|class|club|kids|parents|family|fans|customers
""")
_NAMES = _split("""
    venice|paris|london|rome|vienna|berlin|lisbon|madrid|athens|istanbul|cairo|tokyo|kyoto|seoul|
    bangkok|mumbai|sydney|new york|chicago|texas|vermont|florida|california|mexico|brazil|peru|
    norway|iceland|scotland|ireland|poland|croatia|greece|morocco|kenya|vietnam|india|china|japan|
    canada|alaska|hawaii
""")
_VIDEO = _split("video|clip|footage|film|shot|recording|scene|movie|sequence|reel|take|vid")
_MINE = _split("my|my|my|our|our|the|the|this|that|his|her|their")

_SUBJECTS = (
    "{mine} {what} {video}", "{mine} {what} {video}", "{mine} {what} {video}", "the {video} of {mine} {what}",
    "the {video} of {mine} {what}", "this {video} of {mine} {what}", "{mine} {name} {video}", "{mine} {name} trip",
    "{mine} {person}'s {what}", "{mine} {person}'s {what} {video}", "the {video} from {mine} {event}",
    "{mine} {event}", "the {what}", "the {what} {video}", "{mine} {what}", "the {what} in the {video}",
    "{mine} {video} of the {what} in {name}", "the {video} from {name}", "what i filmed in {name}",
    "the {video} my {person} took",
)  # fmt: skip
_BEFORE = (
    "this is {mine} {event}.", "we were in {name}.", "here's {mine} {what}:", "i filmed {mine} {what} and",
    "it's for {mine} {person},", "for {mine} {event}:", "my {person} wants this:", "my {person} asked me:",
    "{mine} {event} {video},", "{what} {video}:", "so this is the {what},", "you see the {what} here,",
    "we shot this in {name},", "this was {mine} {event},", "{mine} {person} filmed the {what},",
    "there is a {what} in it.", "i have a {video} of {mine} {what},", "about {mine} {what} {video}:",
    "ok so {mine} {event},",
)  # fmt: skip
_AFTER = (
    "for {mine} {event}", "for {mine} {person}", "for the {event} {video}", "for my {person}'s {event}", "in {name}",
    "in the {what} {video}", "in my {video} of the {what}", ", it's for {mine} {person}", ", it shows the {what}",
    ", my {person} would love it", "behind the {what}", "around the {what}", "over the {what}",
    "with the {what} still visible", "and keep the {what} as it is", "but leave the {what} alone",
    "for the {what} clip", "of our {event}", "on the {what}", "so the {what} looks better",
    ", we need it for the {event}", "at the {what}", "where the {what} is",
)  # fmt: skip


def _fill(form: str, rng: np.random.Generator) -> str:
    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    made = form
    while "{" in made:
        what = pick((_SCENES, _SCENES, _THINGS, _THINGS, _EVENTS)[int(rng.integers(5))])
        for slot, word in (
            ("{mine}", pick(_MINE)),
            ("{what}", what),
            ("{event}", pick(_EVENTS)),
            ("{person}", pick(_PEOPLE)),
            ("{name}", pick(_NAMES)),
            ("{video}", pick(_VIDEO)),
        ):
            made = made.replace(slot, word, 1)
    return made


def draw_subject(rng: np.random.Generator) -> str:
    """What a person calls their clip, or a part of it: "my dog video", "the lake", "our trip to Venice"."""
    return _fill(_SUBJECTS[int(rng.integers(len(_SUBJECTS)))], rng)


def draw_before(rng: np.random.Generator) -> str:
    """A remark that goes before a request: "this is our wedding.", "my sister asked me:"."""
    return _fill(_BEFORE[int(rng.integers(len(_BEFORE)))], rng)


def draw_after(rng: np.random.Generator) -> str:
    """A remark that goes after a request: "for my sister's birthday", ", it shows the lake"."""
    return _fill(_AFTER[int(rng.integers(len(_AFTER)))], rng)
