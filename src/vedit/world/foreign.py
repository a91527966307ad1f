"""Sentences that ask for something that no operation of the world does, so that a model can learn what it cannot do."""

from __future__ import annotations

import string

import numpy as np

from vedit.world.phrasings import NONSENSE_TEST, NONSENSE_TUNE, dress
from vedit.world.subjects import draw_subject

_WHO = tuple(
    "the man|the woman|the dog|the child|him|her|the person on the left|the car|the house|the bird|the boy|the girl|my brother|the player|"
    "the driver|the dancer|the cow|the boat|the train|the plane|the fish|the teacher|the crowd|the singer|the guy in front|the surfer|the lion|"
    "the rabbit|the skier|the bus|the door|the tower|the shark|the monkey|the chef|the runner|the bottle|the lamp|the phone|the chair".split(
        "|"
    )
)
_DO = tuple(
    "dance|jump|run faster|sit down|wave at the camera|laugh|sing|disappear behind the wall|fall over|look to the right|walk backwards|eat an ice cream|"
    "open the mouth|close the eyes|fly away|sleep|swim|turn around|shake hands|wear a helmet|hold a flag|play the guitar|read a book|climb the tree|"
    "cry|smile|shout|spin|kneel|drink coffee|drive away|stand up|talk|blink|clap|bark|explode|melt|grow|shrink".split(
        "|"
    )
)
_WHAT = tuple(
    "a hat|a beard|sunglasses|a dragon|a robot|a spaceship|a crown|a cat|two wings|a sword|a tattoo|a moustache|a backpack|a unicorn|a castle|a rainbow flag|"
    "a logo|some text|a watermark|a title|a giraffe|a pirate|a zombie|an astronaut|a football|a birthday cake|a laptop|a bridge|an elephant|a balloon|"
    "a snowman|a river|a volcano|a statue|a scarf|an umbrella|a motorbike|a ghost|a mask|headphones|a horse|a tiger|a skyscraper|a fountain".split(
        "|"
    )
)
_TASK = tuple(
    "cut the first five seconds|slow it down|play it backwards|make it loop|add background music|remove the sound|rotate it|flip it upside down|crop the sides|"
    "stabilise it|export as gif|make it longer|zoom in slowly|add subtitles in spanish|compress the file|upload it|send it to my mother|count the people|"
    "tell me what happens|who is that|what time is it|where was this filmed|describe the video|write a summary|how are you today|open the browser|"
    "change the frame rate|double the speed|merge the clips|mute it|blur the face|track the ball|add a transition|insert a cut|make it widescreen|"
    "show the next episode|call me tomorrow|the quick brown fox jumps over the lazy dog|import numpy as np|select all from users|it depends|hello world|"
    "interpolate to sixty frames|print this page|calculate the average|sort the list|i love you|good morning|nothing makes sense here at all in my life|"
    "the meeting is at noon|buy milk and eggs|my name is anna|this video was shot in 2012|where is the station|happy birthday to you|once upon a time".split(
        "|"
    )
)
_FORMS = (
    "make {who} {do}", "let {who} {do}", "have {who} {do}", "i want {who} to {do}", "add {what}", "put {what} on {who}", "give {who} {what}",
    "turn {who} into {what}", "replace {who} with {what}", "{task}", "{task}", "{task}", "please {task}", "can you {task}", "can you make {who} {do}",
    "add {what} next to {who}", "place {what} in the background", "{who} should {do}", "change {who} to {what}", "swap {who} and {what}",
    "insert {what} behind {who}", "could you please give {who} {what}", "what if {who} would {do}", "make {who} bigger", "make {who} look older",
    "move {who} to the left", "show {who} from above", "{who} with {what}", "why does {who} {do}",
)  # fmt: skip


def draw_foreign(rng: np.random.Generator) -> str:
    """One sentence outside of what the world can do; never one of :data:`~vedit.world.phrasings.NONSENSE_TEST`."""
    while True:
        u = rng.random()
        if u < 0.12:
            count = int(rng.integers(1, 5))
            words = ["".join(rng.choice(list(string.ascii_lowercase), int(rng.integers(2, 9)))) for _ in range(count)]
            text = " ".join(words)
        elif u < 0.2:
            text = str(rng.choice(NONSENSE_TUNE))
        else:
            form = _FORMS[rng.integers(len(_FORMS))]
            who = draw_subject(rng) if rng.random() < 0.3 else rng.choice(_WHO)
            text = form.format(who=who, do=rng.choice(_DO), what=rng.choice(_WHAT), task=rng.choice(_TASK))
            if rng.random() < 0.5:  # the words around a request must not tell whether it can be done
                text = dress(text, text.split(" ")[0] in ("make", "add", "put", "give", "turn", "replace"), rng)
        if text not in NONSENSE_TEST:
            return text
