"""The words by which people ask for each operation, written by hand.

``phrasings`` puts them into sentences. Lists are written as ``"one | two | three"``. British spelling; the grammar also
writes the American one.
"""

from __future__ import annotations

from dataclasses import dataclass


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split("|")) if part)


@dataclass(frozen=True)
class Words:
    """What an operation is called, by the place that the words can take in a sentence.

    ``adjectives``: "make it {snowy}". ``things``: noun phrases that can be added or given, "add {falling snow}".
    ``kinds``: noun phrases that the whole picture can turn into, "turn it into {a winter scene}". ``clauses``: "as if
    {it were snowing}". ``wheres``: "show it {at night}". ``orders``: whole imperatives. ``keys``: keyword style.
    ``of``: caption heads, "{a pencil drawing} of a dog"; ``with_``: caption tails, "a dog {in the snow}".
    """

    adjectives: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    wheres: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    with_: tuple[str, ...] = ()


def _words(
    adjectives: str = "",
    things: str = "",
    kinds: str = "",
    clauses: str = "",
    wheres: str = "",
    orders: str = "",
    keys: str = "",
    of: str = "",
    with_: str = "",
) -> Words:
    return Words(*(_split(text) for text in (adjectives, things, kinds, clauses, wheres, orders, keys, of, with_)))


def _tint(colour: str, shades: str, lights: str, more: str) -> Words:
    """The words for a tint: the colour, its shades, and things that have it."""
    names = (colour, *_split(shades))
    every = " | ".join
    return _words(
        adjectives=every(
            [
                *names,
                *(f"{n}-tinted" for n in names[:3]),
                f"{colour}ish",
                f"all {colour}",
                f"completely {colour}",
                f"more {colour}",
                f"{colour} all over",
                *_split(more),
            ]
        ),
        things=every(
            [f"a {n} {w}" for n in names[:4] for w in ("tint", "filter", "cast", "overlay", "wash")]
            + [
                f"a {colour} {w}"
                for w in (
                    "hue",
                    "tone",
                    "glow",
                    "shade",
                    "gel",
                    "colour cast",
                    "colour filter",
                    "colour overlay",
                    "layer",
                )
            ]
            + [
                f"{colour} light",
                f"{colour} lighting",
                f"some {colour}",
                f"{colour} tones",
                f"a tint of {colour}",
                f"a touch of {colour}",
                f"a hint of {colour}",
                f"lots of {colour}",
            ]
        ),
        kinds=every(
            [
                f"a {colour} picture",
                f"a {colour} version",
                f"a {colour}-tinted video",
                f"{colour} monochrome",
                f"shades of {colour}",
                f"a {colour} world",
                f"a {colour} duotone",
            ]
        ),
        clauses=every(
            [
                f"it was lit by {colour} light",
                f"it was seen through {colour} glass",
                f"you looked through {colour} glasses",
                f"there was a {colour} filter on the lens",
                f"it was shot through {colour} film",
                f"everything was {colour}",
                f"the light was {colour}",
                f"it was dipped in {colour} paint",
                *(f"it was lit by {n}" for n in _split(lights)),
            ]
        ),
        wheres=every(
            [
                f"in {colour}",
                f"in {colour} light",
                f"under {colour} light",
                f"through a {colour} filter",
                f"in shades of {colour}",
                f"with a {colour} tint",
                f"bathed in {colour}",
            ]
        ),
        orders=every(
            [f"tint {{it}} {n}" for n in names[:4]]
            + [
                f"colour {{it}} {colour}",
                f"paint {{it}} {colour}",
                f"dye {{it}} {colour}",
                f"stain {{it}} {colour}",
                f"wash {{it}} in {colour}",
                f"bathe {{it}} in {colour} light",
                f"shift the colours towards {colour}",
            ]
            + [
                f"push the hue to {colour}",
                f"turn everything {colour}",
                f"make all the colours {colour}",
                f"flood {{it}} with {colour} light",
                f"light {{it}} in {colour}",
                f"lay {colour} over {{it}}",
                f"put a {colour} gel on the lights",
            ]
        ),
        keys=every(
            [
                f"{colour} tint",
                f"{colour} filter",
                f"{colour}",
                f"tint {colour}",
                f"{colour} tone",
                f"{colour} light",
                *names[1:],
            ]
        ),
        of=every(
            [
                f"a {colour}-tinted picture",
                f"a {colour} photo",
                f"a picture tinted {colour}",
                f"a {colour} monochrome picture",
            ]
        ),
        with_=every(
            [
                f"in {colour} light",
                f"with a {colour} tint",
                f"tinted {colour}",
                f"through a {colour} filter",
                f"bathed in {colour} light",
                f"all in {colour}",
            ]
        ),
    )


LEXICON: dict[str, Words] = {
    "nothing": _words(
        adjectives="unchanged | untouched | unedited | the same | just like the original | identical to the "
        "original | exactly as it is | unmodified | unaltered",
        things="no effect | no filter | no changes | no edits | nothing | no effects at all",
        kinds="an exact copy | the original | an identical copy | the same video again",
        clauses="nothing had happened | nobody had touched it | it was never edited",
        wheres="as it is | as is | the way it is | without any changes | in its original form | without edits "
        "| like before",
        orders="leave {it} as it is | leave {it} alone | do nothing | don't change anything | do not change "
        "{it} | keep {it} as it is | keep {it} the same | leave {it} unchanged | don't touch {it} | "
        "change nothing | no changes | "
        "make no changes | keep the original | return the original | just copy {it} | pass {it} through "
        "| don't edit {it} | do not edit anything | leave everything the way it is | preserve {it} "
        "exactly | skip the edit | "
        "reproduce {it} exactly | apply no effect | let {it} be | stay the same | everything is fine as "
        "it is | give me the original back | keep everything | do not modify {it} | without any edit | "
        "do not alter {it} | "
        "leave the clip untouched | duplicate {it} | nothing to do here | {it} should stay as it is",
        keys="nothing | no change | original | unchanged | none | same | no edit | as is | untouched | "
        "identity | copy | no effect | leave it | noop | keep",
        of="an unedited picture | an ordinary picture | a photo | a plain picture | a natural picture | "
        "the original picture | a normal video",
        with_="in natural colours | as it is | unedited | in normal light | unchanged",
    ),
    "black-and-white": _words(
        adjectives="black and white | black-and-white | monochrome | greyscale | grey | colourless | monochromatic "
        "| b&w | b/w | achromatic | grey and white | without colour | fully desaturated | devoid of "
        "colour",
        things="a black and white filter | a greyscale filter | a monochrome look | a black and white effect | "
        "a greyscale effect | a b&w filter | shades of grey | grey tones",
        kinds="a black and white video | a greyscale image | a monochrome picture | black and white | "
        "greyscale | shades of grey | a black and white photograph | monochrome | a colourless version "
        "| b&w | a grey picture",
        clauses="there was no colour | colour television had not been invented | it was shot on black and white "
        "film | all the colour was gone | the world had no colour | you were colour blind | it was on a "
        "black and white TV",
        wheres="in black and white | in greyscale | in monochrome | in shades of grey | without any colour | "
        "in grey | in b&w | without colour | in grey tones",
        orders="remove the colour | remove all the colours | take the colour out | take away all the colour | "
        "strip out the colour | drain all the colour | get rid of the colours | desaturate {it} "
        "completely | fully desaturate {it} | "
        "decolourise {it} | lose the colour | drop the colour | discard the colour information | set "
        "the saturation to zero | zero saturation | turn off the colour | kill the colours | convert "
        "{it} to greyscale | go monochrome | "
        "bleach out every colour | only keep the grey tones | keep only the brightness | no colours "
        "please | switch to black and white | make everything grey",
        keys="black and white | b&w | bw | greyscale | monochrome | grey | no colour | desaturate | b/w | "
        "colourless | grayscale | black & white | mono",
        of="a black and white photo | a black and white picture | a greyscale picture | a monochrome "
        "photograph | a colourless picture | a grey picture",
        with_="in black and white | in greyscale | in shades of grey | without colour | in monochrome",
    ),
    "sepia": _words(
        adjectives="sepia | sepia-toned | brownish | brown and white | brown-toned | antique | like an antique "
        "photograph | sepia coloured | like an old photograph | brown monochrome | tea-stained",
        things="a sepia tone | a sepia filter | a sepia effect | sepia | sepia tones | a sepia tint | a "
        "brownish antique tone | a brown tone | a brown tint | sepia toning | an antique photo look | a "
        "brown vintage tone",
        kinds="a sepia photograph | a sepia picture | an old brown photograph | an antique photo | a "
        "daguerreotype | a Victorian photograph | a sepia version | sepia | a photograph from the 1800s "
        "| a photo from great-grandmother's album | brown and white",
        clauses="it was an antique photograph | it was an old brown photo | it came from a Victorian album | it "
        "had been toned brown | it was taken in the nineteenth century | the photo paper had turned "
        "brown | it was a hundred year old photograph | it was stained with tea",
        wheres="in sepia | in sepia tones | in brown tones | in shades of brown | in old brown | in antique "
        "brown | as an antique photograph | with sepia toning",
        orders="tone {it} sepia | sepia tone {it} | turn {it} sepia | apply sepia | use sepia tones | make "
        "{it} brown like an old photo | give {it} the brown of old photographs | colour {it} like an "
        "antique photo | replace the colours with sepia brown | "
        "make all the colours brown | age {it} like an old brown photograph | dip {it} in sepia",
        keys="sepia | sepia tone | sepia filter | brown tone | antique photo | sepia effect | old photograph "
        "| brown tint | sepia toned | daguerreotype | Victorian photo",
        of="a sepia photo | an antique photograph | a sepia-toned picture | an old brown photograph | a "
        "sepia picture | a brown-toned photograph",
        with_="in sepia | in sepia tones | in shades of brown | toned in sepia",
    ),
    "warmer": _words(
        adjectives="warmer | warm | a bit warmer | cosier | toasty | warm-toned | sunnier | slightly golden | "
        "sun-kissed | warmer in tone | less cold | less blue | cosy | more amber | honeyed",
        things="warmth | a warm tone | warmer colours | a warm filter | more warmth | a warming filter | warm "
        "white balance | a cosy warm look | warm light | warm tones | a warm colour temperature | warm "
        "colours | a warm colour grade | a little warmth",
        kinds="a warmer version | a warm-toned picture | something warmer | a warm and cosy scene | a warmly lit scene",
        clauses="the light was warmer | it was lit by candles | it was lit by a warm lamp | the white balance "
        "was set warmer | it was lit by tungsten bulbs | there was a fireplace nearby | the sun was "
        "warm | there was a warm afternoon light",
        wheres="in warmer tones | in warm colours | in warm light | with warm white balance | by candlelight | "
        "with a warmer colour temperature | in lamplight",
        orders="warm {it} up | warm up the colours | warm the tones | raise the colour temperature | increase "
        "the warmth | use warmer colours | shift the white balance to warm | add more warmth | make the "
        "light warmer | make the colours warmer | "
        "lower the blue and raise the red a little | take the chill off | make {it} feel warm | correct "
        "the white balance to warmer | turn the temperature slider up | warm up {it} | give {it} a warm "
        "feel | heat up the colours",
        keys="warmer | warm | warm tones | warmth | warm up | warm filter | warmer colours | warm light | "
        "warm white balance | cosy | warmer tone | warm look",
        of="a warm-toned picture | a warm picture | a warmly lit picture | a picture in warm colours | a "
        "picture with warm white balance",
        with_="in warm colours | in warm light | in warm tones | with warm white balance | in candlelight",
    ),
    "cooler": _words(
        adjectives="cooler | cool | colder | cold | chilly | a bit colder | cool-toned | bluer in tone | less warm "
        "| steely | clinical | a little bluish | icy in tone | less yellow | crisp and cold",
        things="a cool tone | cooler colours | a cooling filter | cool white balance | a cold look | cool "
        "light | a cold colour grade | cold light | cool tones | a cool colour temperature | a chilly "
        "mood | colder tones | a cool filter | cold colours | coolness",
        kinds="a cooler version | a cool-toned picture | something colder in tone | a cold, clinical picture "
        "| a coldly lit scene",
        clauses="the light was colder | it was lit by neon tubes | the white balance was set cooler | it was "
        "lit by fluorescent lamps | the light was cold and blue | it was shot with a cold white balance "
        "| there was cold hospital light | it was a chilly day",
        wheres="in cooler tones | in cool colours | in cold light | with cool white balance | with a cooler "
        "colour temperature | in steely tones",
        orders="cool {it} down | cool down the colours | cool the tones | lower the colour temperature | "
        "reduce the warmth | use cooler colours | shift the white balance to cool | make the light "
        "colder | make the colours colder | take the warmth out | "
        "turn the temperature slider down | cool {it} off | make {it} feel cold | chill the tones | "
        "remove the yellow cast | correct the white balance to cooler | give {it} a cold feel | less "
        "warmth",
        keys="cooler | cool | cold | colder | cool tones | cold light | cool filter | cooler colours | cool "
        "down | cold white balance | chilly | cool tone | cold look",
        of="a cool-toned picture | a cold picture | a coldly lit picture | a picture in cool colours | a "
        "picture with cool white balance",
        with_="in cool colours | in cold light | in cool tones | with cool white balance",
    ),
    "faded": _words(
        adjectives="faded | washed out | washed-out | bleached | matte | flat | low-contrast | muted | pale and "
        "dull | less saturated | less contrasty | desaturated a bit | sun-bleached | milky | weathered "
        "| dull | subdued | drab",
        things="a faded look | a matte look | a washed-out look | muted colours | less contrast | a faded "
        "filter | a matte finish | faded colours | lifted blacks | low contrast | subdued colours | a "
        "bleached look | a flat colour profile",
        kinds="a faded photograph | a washed-out picture | a faded memory | a low-contrast version | a "
        "sun-bleached poster | a faded print | a pale old polaroid | a matte version",
        clauses="it had faded in the sun | the colours had faded | it had been left in the sun for years | it "
        "was a faded polaroid | the contrast was gone | it had been bleached by the sun | the print was "
        "bleached | the colours were washed out",
        wheres="in muted colours | with faded colours | with low contrast | with lifted blacks | in dull "
        "colours | with washed-out colours | with a matte finish",
        orders="fade {it} | fade the colours | wash out the colours | mute the colours | lower the contrast | "
        "reduce the contrast | decrease the contrast | reduce the saturation | lower the saturation | "
        "tone down the colours | desaturate {it} a little | "
        "lift the blacks | flatten the contrast | bleach {it} | make the colours pale | wash {it} out | "
        "make the colours dull | take some colour out | soften the contrast | subdue the colours | make "
        "the blacks grey | less contrast please | drain some of the colour",
        keys="faded | washed out | muted | matte | low contrast | faded colours | bleached | less contrast | "
        "matte look | dull | faded look | flat | desaturated | polaroid | muted colours | less "
        "saturation",
        of="a faded photo | a washed-out picture | a faded picture | a low-contrast picture | a bleached "
        "photograph | a matte picture",
        with_="in muted colours | in faded colours | with low contrast | washed out | with lifted blacks",
    ),
    "vivid": _words(
        adjectives="vivid | vibrant | colourful | more colourful | saturated | more saturated | punchy | bold | "
        "intense | lively | eye-popping | rich in colour | dazzling | oversaturated | psychedelic | "
        "brilliant in colour | more vibrant | juicy | more contrasty",
        things="vivid colours | more colour | more saturation | vibrance | punch | colour pop | more contrast "
        "| vibrant colours | intense colours | rich colours | stronger colours | a vivid look | bolder "
        "colours | some pop | colour intensity | saturation | contrast",
        kinds="a vivid picture | a more colourful version | a vibrant scene | a saturated picture | something "
        "more colourful | an explosion of colour | a high-contrast, colourful version",
        clauses="the colours were turned up | the saturation was cranked up | every colour was brighter and "
        "stronger | it was a colourful advert | the colours were on steroids | the colours jumped out "
        "of the screen",
        wheres="in vivid colours | with vibrant colours | with more saturation | with punchy colours | in "
        "full, rich colour | in technicolour | with strong colours",
        orders="boost the colours | boost the saturation | increase the saturation | crank up the saturation | "
        "saturate {it} | make the colours pop | intensify the colours | enhance the colours | enrich "
        "the colours | turn up the colours | raise the vibrance | "
        "pump up the colours | make the colours stronger | make the colours more intense | liven {it} "
        "up | raise the contrast and saturation | increase the contrast | add more punch | make {it} "
        "pop | amplify the colours | make {it} really colourful | "
        "strengthen the colours | bring the colours to life | max out the saturation | more colour "
        "please | deepen the colours",
        keys="vivid | vibrant | colourful | saturated | more saturation | more colour | punchy | pop | vivid "
        "colours | intense | saturation | boost colours | contrast | bold colours | high saturation | "
        "vibrance",
        of="a vivid picture | a colourful picture | a vibrant photo | a saturated picture | a punchy, "
        "colourful picture",
        with_="in vivid colours | in vibrant colours | in strong colours | with high saturation | in bold colours",
    ),
    "inverted": _words(
        adjectives="inverted | negative | like a negative | colour-inverted | reversed in colour | like an x-ray | "
        "opposite in colour | flipped in colour | like a film negative | photo-negative",
        things="a negative effect | inverted colours | an invert filter | a colour inversion | a negative "
        "filter | an x-ray look | opposite colours | a film negative look | reversed colours | "
        "complementary colours | inversion",
        kinds="a negative | a photo negative | a film negative | a photographic negative | an x-ray | an "
        "inverted version | its negative | its opposite in colour | a colour negative",
        clauses="it was a negative | it was an undeveloped film negative | black was white and white was black "
        "| every colour was its opposite | light was dark and dark was light | it was an x-ray | you "
        "held a film negative to the light",
        wheres="in negative | with inverted colours | with opposite colours | in reverse colours | as a "
        "negative | with the colours flipped | in complementary colours",
        orders="invert {it} | invert the colours | invert all colours | reverse the colours | flip the colours "
        "| negate the colours | swap black and white | swap light and dark | swap dark and bright | "
        "turn black into white and white into black | negate {it} | "
        "use the opposite colours | replace each colour by its complement | show the negative | make "
        "light things dark and dark things light | do a colour inversion | swap every colour with its "
        "opposite | make a negative of {it} | subtract the colours from white",
        keys="invert | negative | inverted | inverted colours | colour negative | invert colours | x-ray | "
        "film negative | negative effect | reverse colours | opposite colours | inversion | photo "
        "negative",
        of="a photographic negative | a negative | a colour-inverted picture | an inverted picture | a "
        "film negative | an x-ray-like negative",
        with_="in negative | with inverted colours | in opposite colours | as a film negative",
    ),
    "brighter": _words(
        adjectives="brighter | bright | lighter | a bit brighter | much brighter | overexposed | well lit | "
        "luminous | light-filled | high-key | sunlit | less dark | radiant | better lit | light and "
        "airy | less dim | light | more luminous",
        things="more light | brightness | more brightness | light | a higher exposure | extra exposure | more "
        "exposure | lots of light | a brightness boost | bright light | a high-key look | more daylight "
        "| plenty of light | illumination",
        kinds="a brighter version | a bright picture | a brighter scene | a high-key picture | something "
        "brighter | a well-lit scene | an overexposed picture",
        clauses="there was more light | someone turned on the lights | the lights were on | it was overexposed "
        "| it was a bright day | the exposure was higher | it was lit by studio lights | the aperture "
        "was wide open | the lamp was turned up",
        wheres="in brighter light | with more light | with higher exposure | in bright light | in broad "
        "daylight | with the lights on | at a higher exposure",
        orders="brighten {it} | brighten {it} up | lighten {it} | lighten {it} up | increase the brightness | "
        "raise the brightness | turn up the brightness | raise the exposure | boost the exposure | "
        "increase the exposure | turn the lights on | lift the shadows | "
        "brighten up the shadows | let more light in | illuminate {it} | light {it} up | expose {it} "
        "more | add light | pump up the brightness | make {it} easier to see | more light please | {it} "
        "is too dark, fix that | fix the underexposure | raise the gain | "
        "make the dark parts lighter | shine more light on {it} | crank up the brightness | step the "
        "exposure up | overexpose {it} | give {it} more light",
        keys="brighter | bright | lighter | brighten | more light | lighten | brightness up | more "
        "brightness | exposure up | overexposed | higher exposure | high key | lighten up | light",
        of="a bright picture | a brightened picture | a high-key picture | an overexposed photo | a "
        "well-lit picture | a light picture",
        with_="in bright light | with plenty of light | overexposed | with high brightness | brightly lit",
    ),
    "darker": _words(
        adjectives="darker | dark | dimmer | dim | a bit darker | much darker | underexposed | shadowy | gloomy | "
        "murky | low-key | less bright | poorly lit | dimly lit | less light | shaded | sombre",
        things="less light | darkness | shadow | less brightness | a lower exposure | dimness | shadows | less "
        "exposure | dim light | a low-key look | gloom | shade | a darkening filter",
        kinds="a darker version | a dark picture | a darker scene | a low-key picture | something darker | a "
        "dimly lit scene | an underexposed picture",
        clauses="there was less light | someone dimmed the lights | the lights were dimmed | it was "
        "underexposed | the exposure was lower | a cloud covered the light | the lamp was turned down | "
        "the curtains were closed | you were wearing sunglasses",
        wheres="in dim light | with less light | with lower exposure | in the shade | in shadow | with the "
        "lights dimmed | at a lower exposure | in the gloom",
        orders="darken {it} | dim {it} | dim the lights | lower the brightness | decrease the brightness | "
        "turn down the brightness | reduce the brightness | lower the exposure | reduce the exposure | "
        "decrease the exposure | bring the exposure down | cut the light | "
        "let less light in | underexpose {it} | deepen the shadows | make {it} dim | turn the lights "
        "down | darken the picture | put {it} in the shade | less light please | {it} is too bright, "
        "fix that | fix the overexposure | expose {it} less | "
        "reduce the light | take some light away | close the curtains | stop down the exposure | dim "
        "everything | knock the brightness down",
        keys="darker | dark | dim | dimmer | darken | less light | brightness down | underexposed | lower "
        "exposure | low key | less bright | gloomy | reduce brightness | exposure down",
        of="a dark picture | a darkened picture | a dim picture | an underexposed photo | a low-key "
        "picture | a dimly lit picture",
        with_="in dim light | underexposed | with little light | in the shade | dimly lit | with low brightness",
    ),
    "night": _words(
        adjectives="nocturnal | moonlit | night-time | nightly | like night | dark and moonlit | starlit | like "
        "midnight | lit by the moon | like nighttime | late at night",
        things="night | nighttime | moonlight | a night sky | night light | a day-for-night effect | a "
        "nighttime look | the night | a moonlit mood | darkness of night | a night filter | midnight "
        "blue darkness | night-time lighting",
        kinds="night | nighttime | a night scene | a moonlit scene | a nocturnal scene | midnight | a night "
        "shot | a nighttime scene | day for night | a moonlit night | the middle of the night | late "
        "evening darkness",
        clauses="it were night | it was night | it was midnight | it was filmed at night | the sun had gone "
        "down hours ago | night had fallen | it was shot after dark | the moon was the only light | it "
        "was the middle of the night | it was late at night | it was nighttime | everyone was asleep | "
        "it was two in the morning | the moon was out",
        wheres="at night | at nighttime | after dark | at midnight | by moonlight | under the moon | in the "
        "moonlight | in the middle of the night | late at night | during the night | under the stars | "
        "under a night sky | by night",
        orders="turn day into night | change day to night | make {it} night | let night fall | make night fall "
        "| switch from day to night | set {it} at midnight | relight {it} with moonlight | turn the "
        "daylight into moonlight | bathe {it} in moonlight | "
        "put the moon out | bring on the night | day to night | do a day-for-night | make {it} look "
        "like night | shoot {it} at night | plunge {it} into night | replace the day with night",
        keys="night | nighttime | night time | at night | moonlight | midnight | moonlit | day for night | "
        "night scene | nocturnal | after dark | night mode | moonlit night | day to night",
        of="a night picture | a moonlit picture | a night shot | a nocturnal picture | a nighttime photo",
        with_="at night | by moonlight | after dark | at midnight | in the moonlight | under a night sky",
    ),
    "sunset": _words(
        adjectives="like sunset | sunset-lit | golden like sunset | glowing like dusk | like golden hour | like "
        "the evening sun | lit by the setting sun | golden-hour",
        things="a sunset | sunset light | golden hour light | an evening glow | a sunset glow | sunset colours "
        "| the setting sun | the light of dusk | an orange evening glow | a golden hour look | evening "
        "light | a sunset sky | late evening sun | golden evening light",
        kinds="a sunset | a sunset scene | golden hour | dusk | an evening scene | twilight | a golden hour "
        "shot | sundown | a summer evening | late evening | a sunset version | evening",
        clauses="the sun was setting | it was sunset | the sun was going down | it was golden hour | it was "
        "dusk | it was filmed in the evening sun | the sun was low in the west | the evening sun was "
        "glowing | it was shot at golden hour | the day was ending | the sun was about to disappear",
        wheres="at sunset | at dusk | at sundown | at golden hour | in the evening | during golden hour | in "
        "the evening sun | at the end of the day | in the light of the setting sun | at twilight | in "
        "the last light of the day | under a setting sun",
        orders="let the sun set | make the sun go down | set {it} at sunset | relight {it} with the setting "
        "sun | bathe {it} in golden hour light | make {it} glow like a sunset | light {it} like an "
        "evening at the beach | make {it} golden hour | give {it} an evening glow | turn the day into "
        "evening | "
        "make {it} sunset | make {it} look like sunset | make {it} dusk | make {it} evening | end the day",
        keys="sunset | golden hour | dusk | sundown | evening sun | evening light | at sunset | setting sun "
        "| evening | sunset glow | twilight | sunset light | evening glow",
        of="a sunset picture | a golden hour photo | an evening picture | a picture lit by the setting sun "
        "| a sunset shot",
        with_="at sunset | at dusk | at golden hour | in the evening sun | at sundown | in the light of the "
        "setting sun",
    ),
    "dawn": _words(
        adjectives="like dawn | like early morning | dawn-lit | like sunrise | pink with dawn | like daybreak | as "
        "pale as dawn | lit by the rising sun",
        things="dawn light | a sunrise | early morning light | morning light | the light of daybreak | a "
        "pastel morning glow | sunrise colours | a dawn glow | a sunrise glow | the first light of day "
        "| the rising sun | soft pink morning light | a dawn mood | the break of day",
        kinds="dawn | daybreak | a sunrise | an early morning | a morning scene | a dawn scene | a sunrise "
        "scene | first light | the crack of dawn | sunup | an early morning scene | morning",
        clauses="the sun was rising | it was dawn | it was early in the morning | day was breaking | the sun "
        "was coming up | it was filmed at daybreak | it was sunrise | the morning had just begun | the "
        "night was just ending | the rooster had just crowed | it was five in the morning | it was "
        "first light",
        wheres="at dawn | at daybreak | at sunrise | early in the morning | in the morning | in the early "
        "morning | at first light | in the light of dawn | at the crack of dawn | at sunup | in the "
        "morning light | in the soft pink light of morning | under the rising sun",
        orders="let the sun rise | make the sun come up | set {it} at dawn | set {it} early in the morning | "
        "relight {it} with the rising sun | bathe {it} in the light of dawn | start the day | make {it} "
        "dawn | make {it} sunrise | make {it} early morning | make {it} look like dawn | let day break "
        "| "
        "give {it} a soft morning glow | light {it} like a sunrise",
        keys="dawn | sunrise | daybreak | early morning | morning light | first light | at dawn | morning | "
        "rising sun | break of day | sunup | dawn light | sunrise light | pastel morning",
        of="a sunrise picture | a picture taken at dawn | an early morning photo | a morning picture | a dawn shot",
        with_="at dawn | at sunrise | early in the morning | at daybreak | at first light | in the morning light",
    ),
    "autumn": _words(
        adjectives="autumnal | autumn-like | like autumn | fall-like | like fall | autumn-coloured | full of "
        "autumn colours | like October | rusty like autumn leaves | fall-coloured",
        things="autumn colours | fall colours | autumn leaves | fall foliage | orange leaves | autumn | an "
        "autumn look | autumn foliage | golden leaves | brown leaves | an autumnal palette | a fall "
        "palette | red and orange leaves | a fall vibe | dry leaves | a touch of October | coloured "
        "leaves",
        kinds="autumn | fall | an autumn scene | a fall scene | an autumn day | an October day | Indian "
        "summer | an autumn landscape | a November day | an autumn version | a New England fall | the "
        "fall season | September",
        clauses="it were autumn | it was autumn | it was fall | it was October | the leaves had turned | the "
        "leaves had turned orange | the leaves were falling | summer was over | the trees had changed "
        "colour | it was harvest time | it was filmed in October | it was Thanksgiving | the season was "
        "autumn | "
        "it was Halloween",
        wheres="in autumn | in the fall | in October | in autumn colours | during autumn | in fall colours | "
        "in November | in the autumn | with autumn leaves | in harvest season | during the fall season "
        "| in late September",
        orders="turn the leaves orange | make the leaves orange | make the grass brown | turn the green into "
        "orange | change the season to autumn | change the season to fall | make the trees turn | "
        "change green to orange | colour the foliage orange | make the plants look like autumn | "
        "switch the season to autumn | let autumn come | bring on the fall | make the green things "
        "orange and brown | paint the leaves in autumn colours | make the trees orange | make {it} "
        "autumn | make {it} fall | replace summer with autumn",
        keys="autumn | fall | autumn colours | fall colours | October | autumn leaves | fall foliage | "
        "autumnal | autumn season | orange leaves | fall season | autumn foliage | fall leaves",
        of="an autumn picture | an autumnal photo | a picture in autumn colours | a fall picture",
        with_="in autumn | in the fall | in October | in autumn colours | with autumn leaves | with orange foliage",
    ),
    "tint-red": _tint(
        "red",
        "crimson | scarlet | ruby | blood red | cherry red",
        "a red lamp | a darkroom lamp | an emergency light",
        "reddish | red like a darkroom | blood-red | red like Mars",
    ),
    "tint-orange": _tint(
        "orange",
        "tangerine | amber-orange | pumpkin orange | apricot",
        "orange street lamps | an orange lamp | sodium lamps",
        "orangey | orange like a pumpkin | orange like Fanta | orange like a carrot",
    ),
    "tint-yellow": _tint(
        "yellow",
        "lemon | mustard yellow | canary yellow | lemon yellow",
        "a yellow lamp | yellow light bulbs",
        "yellowy | yellow like a lemon | yellow like a banana | yellow like mustard",
    ),
    "tint-green": _tint(
        "green",
        "emerald | lime green | Matrix green | neon green",
        "a green lamp | a green laser | a night vision device",
        "greeny | green like the Matrix | green like night vision goggles | emerald-green",
    ),
    "tint-blue": _tint(
        "blue",
        "azure | cobalt blue | royal blue | deep blue",
        "a blue lamp | a blue police light",
        "bluey | blue like a smurf | ultramarine | sapphire blue | indigo blue",
    ),
    "tint-purple": _tint(
        "purple",
        "violet | lilac | lavender purple | mauve",
        "a purple lamp | ultraviolet lamps",
        "purply | magenta-purple | purple like grapes | violet-coloured | indigo-violet | aubergine",
    ),
    "tint-pink": _tint(
        "pink",
        "rose | hot pink | rose pink | bubblegum pink",
        "a pink lamp | pink neon",
        "pinkish | rosy | rose-tinted | pink like Barbie | pink like cotton candy | fuchsia pink | salmon pink",
    ),
    "snow": _words(
        adjectives="snowy | wintry | snow-covered | frosty | snowed in | covered in snow | white with snow | "
        "frozen | snowbound | icy and snowy | full of snow | wintery | snow-capped | blanketed in snow",
        things="snow | falling snow | snowfall | snowflakes | some snow | a blizzard | flurries | a layer of "
        "snow | a snowstorm | winter weather | a blanket of snow | a winter look | heavy snow | "
        "drifting snowflakes | flakes of snow | a bit of snow | a snow effect | fresh powder | frost "
        "and snow | "
        "a cold winter atmosphere | sleet and snow | snow on the ground | powder snow | lots of snow",
        kinds="a winter scene | a snowy scene | a winter wonderland | a snowstorm | a blizzard | winter | a "
        "snowy landscape | a snowy day | a white Christmas | a snow globe | a winter landscape | a "
        "frosty day | the Arctic | a winter day | Narnia | a snowy version | Siberia in January | a "
        "white world",
        clauses="it were snowing | it was snowing | it had snowed | it was winter | snow was falling | there "
        "was a blizzard | a snowstorm had hit | it was the middle of winter | everything was covered in "
        "snow | it was Christmas | it was January | it was December | it was freezing and snowing | "
        "winter had come | "
        "snowflakes were falling | it was filmed in a snowstorm | it had been snowing all night | we "
        "were at the North Pole",
        wheres="in the snow | in winter | in a snowstorm | in a blizzard | during a snowfall | in snowy "
        "weather | under snow | in falling snow | in the middle of winter | covered in snow | on a "
        "snowy day | with snow falling | at Christmas | in wintertime | in Siberia",
        orders="let it snow | make it snow | cover {it} with snow | cover everything in snow | change the "
        "weather to snow | change the season to winter | let snow fall | have snow falling | bury {it} "
        "in snow | sprinkle snow over {it} | bring on winter | summon a blizzard | freeze {it} | "
        "make the snow fall | blanket {it} in snow | put snow on the ground | let winter come | dust "
        "{it} with snow | drop snowflakes over {it} | turn summer into winter | switch the weather to "
        "snow | make snowflakes fall",
        keys="snow | snowing | snowy | winter | snowfall | blizzard | snowy weather | wintry | snowstorm | "
        "snow effect | snowflakes | falling snow | winter scene | flurries | white christmas | "
        "wintertime | frost | winter wonderland",
        of="a snowy picture | a winter picture | a wintry scene | a snow-covered scene",
        with_="in the snow | in a snowstorm | in winter | in falling snow | covered in snow | with snowflakes "
        "| in a blizzard | on a snowy day",
    ),
    "rain": _words(
        adjectives="rainy | wet | drizzly | stormy | showery | soaking wet | drenched | damp and rainy | soaked | "
        "pouring | rain-soaked | thundery",
        things="rain | falling rain | raindrops | a downpour | some rain | heavy rain | a rainstorm | drizzle "
        "| showers | a rain effect | a thunderstorm | pouring rain | bad weather | a rainy mood | a "
        "cloudburst | a shower | rain streaks | stormy weather | lashing rain | a monsoon | drops of "
        "rain | "
        "wet weather | a bit of rain | torrential rain | driving rain",
        kinds="a rainy scene | a rainy day | a rainstorm | a downpour | a storm | a thunderstorm | a wet day "
        "| the monsoon season | a rainy version | rainy weather | a drizzly afternoon | a rainy day in "
        "London | a tropical downpour",
        clauses="it were raining | it was raining | it was pouring | it was raining cats and dogs | rain was "
        "falling | there was a downpour | it had started to rain | it was drizzling | a storm had "
        "broken | it was filmed in the rain | everyone needed an umbrella | it was bucketing down | the "
        "heavens had opened | "
        "it was the rainy season | everything was wet | it was raining heavily | the weather was awful "
        "and wet | a thunderstorm was passing",
        wheres="in the rain | in a downpour | in rainy weather | during a rainstorm | in a thunderstorm | on a "
        "rainy day | in pouring rain | in wet weather | in a storm | in the drizzle | with rain falling "
        "| under heavy rain | in a shower",
        orders="make it rain | let it rain | change the weather to rain | let rain fall | have rain falling | "
        "drench {it} | soak {it} | make it pour | bring the rain | open the heavens | pour rain over "
        "{it} | make the rain fall | let it pour | ruin the weather | bring an umbrella, make it rain | "
        ""
        "switch the weather to rain | make it drizzle | have it rain | start a rainstorm | get {it} wet with rain",
        keys="rain | rainy | raining | downpour | drizzle | rainstorm | rainy weather | rain effect | "
        "showers | pouring rain | storm | thunderstorm | wet | raindrops | rainy day | heavy rain | wet "
        "weather",
        of="a rainy picture | a rainy scene | a rain-soaked scene | a wet, rainy picture",
        with_="in the rain | in a downpour | on a rainy day | in rainy weather | with rain falling | in a "
        "rainstorm | in pouring rain",
    ),
    "fog": _words(
        adjectives="foggy | misty | hazy | smoky | shrouded in mist | murky with fog | steamy | cloudy and foggy | "
        "wrapped in fog | fogged up | smoggy | dimmed by haze | mist-covered | veiled in mist",
        things="fog | mist | haze | a layer of fog | thick fog | some fog | dense fog | a misty atmosphere | "
        "smoke | smog | rolling fog | a veil of mist | a fog effect | low clouds | a haze | mist in the "
        "air | a foggy mood | steam | pea soup fog | a fog bank | a blanket of fog | a bit of mist",
        kinds="a foggy scene | a misty scene | a foggy day | a misty landscape | a foggy morning in San "
        "Francisco | a hazy day | a cloud bank | a foggy version | London fog | a scene from Silent "
        "Hill | a misty moor | a hazy scene",
        clauses="it was foggy | it were foggy | there was thick fog | fog had rolled in | it was misty | you "
        "could hardly see anything through the fog | the fog was coming in | a cloud had come down | "
        "there was smoke everywhere | it was filmed in the mist | it was hazy | the air was full of "
        "mist | "
        "the mist was rising | the visibility was poor | there was smog over the city",
        wheres="in fog | in the fog | in the mist | in thick fog | in a haze | on a foggy day | in hazy "
        "weather | through the mist | in the smoke | shrouded in fog | in foggy weather | with fog "
        "everywhere | inside a cloud | in the clouds",
        orders="fog {it} up | fill {it} with fog | let fog roll in | roll in the fog | cover {it} in mist | "
        "wrap {it} in fog | shroud {it} in mist | hide {it} in fog | change the weather to fog | reduce "
        "the visibility | let the mist rise | veil {it} in haze | fill the air with mist | bring in the "
        "fog | "
        "switch on the fog machine | make the air hazy | let {it} disappear in the fog | smother {it} "
        "in fog | switch the weather to fog",
        keys="fog | foggy | mist | misty | haze | hazy | thick fog | fog effect | foggy weather | smoke | "
        "smog | dense fog | foggy day | mist effect | smoky | low visibility",
        of="a foggy picture | a misty picture | a hazy picture | a foggy scene | a misty scene",
        with_="in the fog | in the mist | in thick fog | on a foggy day | in a haze | shrouded in mist | in "
        "foggy weather",
    ),
    "underwater": _words(
        adjectives="underwater | submerged | sunken | undersea | aquatic | subaquatic | flooded | like an aquarium "
        "| oceanic | immersed in water | deep under the sea | submarine",
        things="an underwater effect | an underwater look | water | an aquarium look | an underwater filter | "
        "a deep sea mood | sea water | ocean water | an undersea atmosphere | light rippling through "
        "water | water caustics | an aquatic feel",
        kinds="an underwater scene | an aquarium | the deep sea | the bottom of the sea | Atlantis | a scuba "
        "diving video | a coral reef dive | an underwater world | an undersea scene | a fish tank | an "
        "underwater shot | the ocean floor | a submarine view | a diving video | a sunken world",
        clauses="it were underwater | it was underwater | it was filmed underwater | it was at the bottom of "
        "the sea | it was in an aquarium | it was seen by a diver | everything was under water | it had "
        "sunk in the ocean | it was in a swimming pool | the sea had flooded everything | we were "
        "diving | it was in the deep sea | "
        "a fish was looking at it | it was in a fish tank | the place was submerged | it was shot with "
        "a diving camera",
        wheres="underwater | under water | under the sea | in the deep sea | below the surface | at the bottom "
        "of the ocean | in an aquarium | beneath the waves | in the ocean | on the sea floor | at the "
        "bottom of a lake | in the depths of the sea | under the ocean",
        orders="submerge {it} | sink {it} | flood {it} | put {it} underwater | put {it} under water | drown "
        "{it} in the sea | move {it} to the bottom of the ocean | dive under water | immerse {it} in "
        "water | fill {it} with water | take {it} below the surface | place {it} in an aquarium | put "
        "{it} in a fish tank | "
        "flood everything with sea water | set {it} in the deep sea | let the sea swallow {it} | drop "
        "{it} in the ocean | sink {it} to the sea floor | make everything look submerged",
        keys="underwater | under water | deep sea | aquarium | submerged | ocean | undersea | under the sea "
        "| diving | underwater effect | scuba | submarine | underwater scene | fish tank",
        of="an underwater picture | an undersea scene | an underwater shot | a submerged scene",
        with_="underwater | under the sea | at the bottom of the ocean | in an aquarium | beneath the waves | "
        "in the deep sea",
    ),
    "pencil-sketch": _words(
        adjectives="sketched | pencil-drawn | hand-drawn in pencil | drawn in pencil | sketchy | like a pencil "
        "drawing | like graphite | pencilled | like a sketch | hand-sketched | outlined in pencil",
        things="a pencil sketch effect | a sketch effect | pencil lines | a pencil drawing look | a hand-drawn "
        "pencil look | graphite lines | a sketch filter | pencil strokes | a pencil filter | a "
        "sketchbook look",
        kinds="a pencil sketch | a pencil drawing | a sketch | a drawing | a graphite drawing | a charcoal "
        "drawing | line art | a hand-drawn sketch | a line drawing | an architect's sketch | a pencil "
        "portrait | a sketchbook page | a rough sketch | a drawing on white paper | a black and white "
        "drawing | "
        "a pencil animation | a page of an artist's sketchbook | a hand drawing | an outline drawing | a doodle",
        clauses="it was drawn in pencil | it was sketched by hand | somebody drew it with a pencil | it was an "
        "artist's sketch | it was drawn on paper | an artist sketched it | it was a graphite drawing | "
        "it was drawn with charcoal | it was the Take On Me video | it was only pencil lines on white "
        "paper | a kid drew it with a pencil",
        wheres="in pencil | in graphite | in charcoal | as a sketch | as a pencil drawing | as line art | in "
        "the style of a pencil sketch | on white paper in pencil | as a drawing | in pencil strokes | "
        "as a line drawing",
        orders="sketch {it} | draw {it} | draw {it} in pencil | draw {it} with a pencil | sketch {it} in "
        "pencil | sketch {it} by hand | trace {it} in pencil | redraw {it} in graphite | draw {it} by "
        "hand | outline {it} in pencil | pencil {it} | reduce {it} to pencil lines | draw only the "
        "outlines | "
        "make a drawing of {it} | make a sketch out of {it} | only show the contours | trace the "
        "outlines in graphite | redraw {it} with pencil lines",
        keys="pencil sketch | sketch | pencil | pencil drawing | drawing | graphite | line art | charcoal | "
        "sketch effect | hand drawn | line drawing | sketched | pencil art | graphite drawing | "
        "contours",
        of="a pencil sketch | a pencil drawing | a graphite drawing | a hand-drawn sketch | a line drawing "
        "| a charcoal drawing | a black pencil sketch on white paper",
        with_="drawn in pencil | sketched in graphite | as a pencil drawing | in pencil lines on white paper",
    ),
    "cartoon": _words(
        adjectives="cartoonish | cartoony | animated | like a cartoon | anime-style | toon-shaded | cel-shaded | "
        "like an animated movie | like Disney | like anime | toon-like | like The Simpsons",
        things="a cartoon look | a cartoon effect | a cartoon filter | an anime look | cel shading | a toon "
        "look | flat cartoon colours | a cartoon style | an animation look | a Disney look | a toon "
        "shader | an anime filter",
        kinds="a cartoon | an animated film | an anime | an animated movie | a Disney film | a Saturday "
        "morning cartoon | a cartoon version | a kids' cartoon | a Pixar movie | an animation | a "
        "Japanese animation | a Studio Ghibli film | a cel-shaded video game | a Looney Tunes cartoon | "
        "a hand-drawn animation | a Simpsons episode | "
        "a children's TV cartoon | a toon",
        clauses="it was a cartoon | it was animated | it was drawn by Disney | it was an anime | it was an "
        "animated movie | it was made for children's TV | it was cel shaded | it was on Cartoon Network "
        "| Walt Disney had made it | it was a Looney Tunes episode | it was from the Simpsons",
        wheres="in cartoon style | as a cartoon | as an anime | in anime style | in the style of a cartoon | "
        "in the style of Disney | in the style of an animated film | in toon style | like an animation "
        "| in Ghibli style | as an animated movie",
        orders="cartoonify {it} | cartoonise {it} | animate {it} in cartoon style | make a cartoon out of {it} "
        "| make a cartoon of {it} | toon shade {it} | make {it} an anime | cel shade {it} | turn "
        "everyone into cartoon characters | toonify {it} | draw {it} like a cartoon | make {it} a "
        "cartoon | animefy {it} | "
        "give everything flat cartoon colours and outlines",
        keys="cartoon | anime | cartoon style | animated | toon | cel shading | cartoon effect | animation | "
        "disney | cartoony | cartoonish | anime style | cartoon look | ghibli | pixar",
        of="a cartoon | a cartoon picture | an animated picture | an anime picture | a cel-shaded cartoon "
        "| a cartoon drawing",
        with_="in cartoon style | as a cartoon | in anime style | with flat colours and dark outlines",
    ),
    "oil-painting": _words(
        adjectives="painted | painterly | oil-painted | like an oil painting | like a Van Gogh | like an old "
        "master | impressionist | impressionistic | painted in oils | like a Rembrandt | like a Monet | "
        "brushed in oil",
        things="an oil painting effect | brush strokes | thick brush strokes | an oil paint look | visible "
        "brush strokes | a painterly look | an oil filter | thick paint | impasto | a painted look | "
        "oil paint texture | an impressionist look | oil paint",
        kinds="an oil painting | a painting | a Van Gogh | a Van Gogh painting | a Monet | an impressionist "
        "painting | a canvas | an old master painting | a museum painting | a Rembrandt | a classical "
        "painting | a work of fine art | an impasto painting | a painted canvas | a Cezanne | an oil on "
        "canvas | a masterpiece | "
        "a Renaissance painting | an artist's painting | a gallery painting",
        clauses="it was painted in oil | it was painted by Van Gogh | it was an oil painting | a painter had "
        "made it | it hung in a museum | it was painted on canvas | it was painted with thick brush "
        "strokes | Monet had painted it | an old master had painted it | Rembrandt had made it | it was "
        "on an easel | it was in the Louvre",
        wheres="in oil | in oils | in oil paint | on canvas | as an oil painting | as a painting | in the "
        "style of Van Gogh | in the style of Monet | in the style of an oil painting | in thick brush "
        "strokes | in the style of an impressionist | in the style of an old master",
        orders="paint {it} | paint {it} in oil | paint {it} in oils | oil paint {it} | repaint {it} with thick "
        "brush strokes | put {it} on canvas | make a painting of {it} | paint {it} like Van Gogh | make "
        "an oil painting out of {it} | hang {it} in a gallery | smear {it} like thick oil paint | "
        "render {it} with oil paint | repaint {it} in oils | brush {it} in oil colours | paint {it} on canvas",
        keys="oil painting | oil paint | painting | van gogh | brush strokes | oil | oil on canvas | "
        "impressionism | painterly | canvas | monet | oil painting effect | painted | oils | impasto | "
        "rembrandt",
        of="an oil painting | a painting | an impressionist painting | an oil painting on canvas | a "
        "painting with thick brush strokes | a Van Gogh style painting",
        with_="painted in oil | in thick brush strokes | as an oil painting | painted on canvas | in the "
        "style of Van Gogh",
    ),
    "watercolour": _words(
        adjectives="watercoloured | like a watercolour | painted in watercolour | aquarelle | like an aquarelle | "
        "watercolour-painted | like watercolours on paper | washed in watercolour",
        things="a watercolour effect | a watercolour look | watercolour washes | a watercolour filter | "
        "watercolour | an aquarelle look | watercolour paint | soft washes of colour | wet paint washes "
        "| a watercolour texture",
        kinds="a watercolour | a watercolour painting | an aquarelle | a watercolour picture | a watercolour "
        "sketch | a wash painting | a children's book watercolour | a gouache painting | a painting in "
        "watercolours | a water-based painting | a watercolour illustration | a Turner watercolour | a "
        "Chinese ink wash painting",
        clauses="it was painted in watercolour | it was a watercolour | it was painted with watercolours | it "
        "was an aquarelle | someone painted it with water and pigment | it was painted with wet paint "
        "on paper | it was in a watercolour sketchbook | it was done in washes | a watercolourist made "
        "it",
        wheres="in watercolour | in watercolours | as a watercolour | as an aquarelle | in aquarelle | in "
        "washes of watercolour | in the style of a watercolour painting | on watercolour paper | in "
        "soft washes | in gouache",
        orders="paint {it} in watercolour | paint {it} with watercolours | watercolour {it} | make a "
        "watercolour of {it} | do {it} in watercolour | wash {it} in watercolours | repaint {it} as an "
        "aquarelle | let the paint run like watercolour | make an aquarelle out of {it} | use "
        "watercolours | "
        "paint {it} on watercolour paper | render {it} in wet watercolour washes | redo {it} with "
        "watercolour paint | paint {it} with water and pigment",
        keys="watercolour | aquarelle | watercolour painting | watercolours | water colour | watercolour "
        "effect | aquarelle painting | watercolour style | gouache | wash painting | watercolour filter "
        "| water colours",
        of="a watercolour | a watercolour painting | an aquarelle | a pale watercolour | a watercolour "
        "picture | a painting in watercolours",
        with_="in watercolour | painted in watercolours | as an aquarelle | in soft washes on white paper",
    ),
    "pixel-art": _words(
        adjectives="pixelated | pixellated | 8-bit | 16-bit | blocky | low-res | pixelised | like an old video "
        "game | like Minecraft | like a retro game | mosaic-like | like a Game Boy game | made of "
        "blocks | made of pixels | low resolution",
        things="a pixel art effect | big pixels | a pixelated look | an 8-bit look | pixelation | a mosaic "
        "effect | chunky pixels | blocks | a retro game look | a pixel filter | large square pixels | "
        "an 8 bit effect | a Minecraft look",
        kinds="pixel art | an 8-bit video game | a retro video game | a Nintendo game | a Minecraft world | "
        "an old computer game | a mosaic | a Game Boy game | an arcade game | a 1980s video game | a "
        "pixel art animation | a 16-bit game | a low-res version | an NES game | a pixelated version | "
        "a sprite | a Super Mario level | Lego bricks",
        clauses="it was a retro video game | it was made of pixels | it was pixel art | it was on a Game Boy | "
        "it was an 8-bit game | it was in Minecraft | it was a Nintendo game | it was made of blocks | "
        "it was on a very old computer | the resolution was tiny | it was an arcade game | it was a "
        "mosaic of squares",
        wheres="in pixel art | as pixel art | in 8-bit | in 8 bit style | in big pixels | in pixel art style | "
        "in low resolution | in the style of a retro game | in Minecraft style | as a mosaic | in the "
        "style of an arcade game | with huge pixels",
        orders="pixelate {it} | pixelise {it} | make the pixels big | turn {it} into blocks | lower the "
        "resolution | downsample {it} to big pixels | pixellate {it} | mosaic {it} | make a retro game "
        "of {it} | break {it} into squares | show {it} in large square pixels | reduce {it} to blocks | "
        "make big chunky pixels | "
        "make {it} 8-bit | build {it} out of blocks | minecraftify {it} | make a mosaic out of {it}",
        keys="pixel art | pixelate | 8-bit | 8 bit | pixelated | pixels | pixel | minecraft | retro game | "
        "mosaic | blocky | low res | video game | 16-bit | big pixels | pixelart | game boy | nintendo "
        "| arcade",
        of="pixel art | a pixelated picture | an 8-bit picture | a pixel art picture | a retro game "
        "picture | a blocky low-resolution picture | a mosaic",
        with_="in pixel art | as pixel art | in big square pixels | in 8-bit style | in the style of a retro game",
    ),
    "film-noir": _words(
        adjectives="noir | noirish | like film noir | like a detective movie | hard-boiled | dramatic in black and "
        "white | like a 1940s thriller | like Sin City | high-contrast black and white | like a "
        "Hitchcock thriller | stark black and white | noir-like",
        things="a film noir look | a noir mood | film noir lighting | hard black and white contrast | a noir "
        "effect | high contrast black and white | dramatic black and white | a noir filter | noir "
        "lighting | deep black shadows and hard whites | a detective movie atmosphere | a noir style | "
        "chiaroscuro | harsh black and white shadows",
        kinds="film noir | a film noir | a noir film | a detective film | a 1940s crime movie | a Humphrey "
        "Bogart movie | a noir thriller | a gangster film in black and white | a Hitchcock thriller | a "
        "noir scene | a hard-boiled detective story | a Sin City scene | a crime film from the forties "
        "| a private eye movie | a stark black and white thriller",
        clauses="it was a film noir | it was a 1940s detective movie | Humphrey Bogart was in it | it was a "
        "noir thriller | it was shot by Hitchcock in black and white | a private eye was on the case | "
        "it was a black and white crime movie | it was from Sin City | it was a gangster movie of the "
        "forties | a detective told the story",
        wheres="in film noir style | as film noir | in noir style | in the style of film noir | in the style "
        "of a 1940s detective movie | in hard black and white | in high contrast black and white | as a "
        "noir film | in noir lighting | in the style of Sin City | in stark black and white | with noir "
        "shadows",
        orders="make {it} noir | go noir | noirify {it} | give {it} hard black and white contrast | shoot {it} "
        "like a film noir | light {it} like a detective movie | make {it} a film noir | make {it} "
        "dramatic black and white | make {it} contrasty black and white | use noir lighting | crush the "
        "blacks in black and white | "
        "make a film noir out of {it} | style {it} like a 1940s crime film | make a detective movie out of it",
        keys="film noir | noir | noir film | noir style | detective movie | high contrast black and white | "
        "hitchcock | noir look | sin city | 1940s noir | noir thriller | crime movie | film-noir | "
        "chiaroscuro | dramatic black and white",
        of="a film noir shot | a noir picture | a high-contrast black and white photo | a film noir still "
        "| a stark black and white picture",
        with_="in film noir style | in high contrast black and white | in noir lighting | with deep black "
        "shadows and burnt whites",
    ),
    "old-film": _words(
        adjectives="like an old film | like old film | like a silent movie | vintage | retro | old-timey | like an "
        "old movie | old-fashioned | like a 1920s movie | like a home movie | grainy and old | like "
        "super 8 | aged like an old movie | like archive footage | like a Charlie Chaplin movie | like "
        "an old newsreel",
        things="an old film look | film grain | an old movie effect | a vintage film look | old film grain | a "
        "silent movie look | a super 8 look | a retro film effect | an old cinema look | a vintage "
        "movie filter | grain and age | an old film filter | a worn film look | a 1920s look | an "
        "old-timey film effect | grain | a vintage look | 8mm grain",
        kinds="an old film | an old movie | a silent movie | a silent film | a vintage movie | a 1920s film | "
        "a Charlie Chaplin movie | archive footage | an old home movie | a newsreel | super 8 footage | "
        "an early cinema reel | a worn film reel | a film from a hundred years ago | vintage footage | "
        "an 8mm home movie | an old movie reel | historical footage | a nickelodeon film",
        clauses="it was an old film | it was filmed a hundred years ago | it was a silent movie | it was shot "
        "on super 8 | Charlie Chaplin was in it | it came from an archive | it was shown by an old "
        "projector | it was from the 1920s | it was found in an attic | it was an old home movie | it "
        "was shot on grainy old film | it was made in 1910 | the Lumiere brothers filmed it | "
        "the film reel was worn | it was filmed with a hand-cranked camera",
        wheres="in the style of an old film | as an old film | on old film | on super 8 | on grainy film stock "
        "| as a silent movie | from an old film reel | in the style of the 1920s | on vintage film | "
        "through an old projector | as archive footage | in old-timey style | on 8mm film",
        orders="age {it} like an old movie | make an old movie out of {it} | make {it} look old | age {it} | "
        "add film grain | project {it} from an old film reel | make {it} an old film | make {it} look "
        "like it was filmed long ago | make {it} grainy and old | shoot {it} on super 8 | make {it} "
        "vintage | make {it} retro | age the footage | "
        "send {it} back to the 1920s | make {it} look like archive footage | play {it} on an old "
        "projector | put {it} on an old film reel | turn back time to the days of silent movies",
        keys="old film | old movie | vintage | retro | silent movie | film grain | super 8 | vintage film | "
        "old timey | 1920s | home movie | archive footage | 8mm | silent film | grainy | old film "
        "effect | newsreel | vintage look | aged",
        of="an old film still | an old movie shot | a vintage film frame | a grainy old picture | a silent "
        "movie frame | archive footage",
        with_="on old film | in an old movie | on super 8 film | in a silent movie | in grainy archive footage",
    ),
    "comic": _words(
        adjectives="like a comic | like a comic book | comic-style | like pop art | like a graphic novel | like a "
        "Marvel comic | comic-like | halftoned | like a Lichtenstein | like a printed comic | inked | "
        "like a superhero comic",
        things="a comic book look | a comic effect | thick black outlines | halftone dots | a comic style | a "
        "comic book filter | a pop art look | a comic filter | ink outlines and dots | a graphic novel "
        "look | bold ink lines | printed dots | comic inking | a pop art effect | Ben-Day dots",
        kinds="a comic | a comic book | a comic strip | a graphic novel | pop art | a comic book panel | a "
        "superhero comic | a Marvel comic | a Lichtenstein | a comic panel | a DC comic | a page of a "
        "comic | a pop art print | a Roy Lichtenstein painting | a comic book page | a Batman comic | "
        "an inked comic | a halftone print | a bande dessinee",
        clauses="it was a comic book | it was a comic strip | it was printed in a comic | it was drawn by Roy "
        "Lichtenstein | it was a graphic novel | it was pop art | it was a Marvel comic | it was inked "
        "and printed with dots | it was a superhero comic | Stan Lee had made it | it was from Into the "
        "Spider-Verse | it was printed with halftone dots",
        wheres="in comic style | as a comic | as a comic book | in comic book style | in the style of a comic "
        "| in pop art style | in the style of a graphic novel | in the style of Marvel comics | in the "
        "style of Lichtenstein | with halftone dots and thick outlines | as a comic strip | in halftone "
        "| as pop art",
        orders="make a comic out of {it} | make {it} a comic | ink {it} like a comic | draw {it} like a comic "
        "book | print {it} in halftone | comicify {it} | turn everyone into comic book heroes | add "
        "bold ink outlines and halftone dots | make a comic strip of {it} | redraw {it} as a comic "
        "panel | put {it} in a comic book | "
        "make {it} pop art | outline everything in thick black ink | make {it} look printed in a comic",
        keys="comic | comic book | pop art | graphic novel | halftone | comic style | comic strip | marvel | "
        "lichtenstein | comic effect | comics | comic book style | superhero comic | comic look | "
        "spider-verse | inked",
        of="a comic book panel | a comic picture | a pop art print | a comic strip panel | a graphic novel "
        "panel | a comic book drawing | a halftone print",
        with_="in comic book style | as a comic | in pop art style | with thick black outlines and halftone "
        "dots | in the style of a graphic novel",
    ),
}

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet", "bright red"),
    "orange": ("orange", "bright orange", "tangerine"),
    "yellow": ("yellow", "bright yellow", "lemon yellow"),
    "green": ("green", "bright green", "emerald green"),
    "blue": ("blue", "royal blue", "deep blue"),
    "purple": ("purple", "violet", "bright purple"),
    "pink": ("pink", "rose", "bright pink"),
    "brown": ("brown", "chocolate brown", "dark brown"),
    "white": ("white", "snow white", "pure white"),
    "black": ("black", "pitch black", "jet black"),
    "grey": ("grey", "light grey", "ash grey"),
    "turquoise": ("turquoise", "teal", "cyan"),
}

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "circle", "disc", "sphere"),
    "square": ("square", "box", "cube", "block"),
    "triangle": ("triangle", "pyramid"),
    "star": ("star", "five-pointed star"),
    "heart": ("heart", "love heart"),
    "ring": ("ring", "hoop", "doughnut"),
    "diamond": ("diamond", "rhombus"),
    "cross": ("cross", "plus sign"),
}


def _time(noun: str, where: str) -> str:
    return (
        f"[change/switch/set/move/shift] the time [of day/of the day] to {noun} | "
        f"[move/shift/take/bring/transport] {{it}} [to/into] {noun} | the time of day should be {noun} "
        f"| {{it}} [should/must/has to] [be set/take place/happen/play] {where} | "
        f"[i want it to be/let it be/make it be/it should be/it has to be] {noun} | what "
        f"[would/does/might] {{it}} look like {where} | how does {{it}} look {where} | "
        f"[film/shoot/record/capture/take] {{it}} {where} | "
        f"{{it}} [filmed/shot/taken/recorded] {where} | [make it look like/pretend/as if] "
        f"[i/we/they/he] [filmed/shot/took/recorded] {{it}} {where} | [daylight/day/noon/now] "
        f"[to/into/becomes] {noun}"
    )


def _weather(noun: str, adjective: str, falls: str) -> str:
    return (
        f"[change/switch/turn/set/make] the weather [to/into] {noun} | the weather [should/must] be "
        f"{adjective} | make the weather {adjective} | [i'd love/i want/give me/i'd like/make it] a "
        f"[nice/really/proper/grey/cold/very] {adjective} day | "
        f"[put/place/throw/drop/move] {{it}} [into/in] [the/some/heavy] {noun} | "
        f"[fill/cover/hide/surround] {{it}} [with/in] {noun} | [there should be/let there be/i want to "
        f"see/i need/show] {noun} [everywhere/all over the place/all around/in the air] | "
        f"{falls} | what [would/does/might] {{it}} look like [in/with] {noun} | "
        f"[add/create/simulate/generate/insert/give me] [a lot of/lots of/some/a bit of/plenty "
        f"of/realistic] {noun} | the [forecast/weather report] says {noun} | bring some {noun} into "
        f"{{it}}"
    )


def _medium(noun: str, verb: str, where: str) -> str:
    return (
        f"[{verb}] {{it}} {where} | [make/create/produce/generate/do] [a/one] "
        f"[nice/real/beautiful/proper/good] {noun} [of/from/out of] {{it}} | what [would/does/might] "
        f"{{it}} look like as a {noun} | {{it}} [should/must/has to] [be/become/turn into/look like] a "
        f"{noun} | "
        f"[i'd love/i want/i'd like/i need/i wish] {{it}} [as/to be/to look like] a {noun} | "
        f"[imitate/mimic/copy/fake/simulate] [the look of/the style of/the appearance of] a {noun} | "
        f"[somebody/an artist/someone/a master/my daughter] should [{verb}] {{it}} {where} | "
        f"the [look/style/appearance/feel/aesthetic] of a {noun} | use the "
        f"[style/technique/look/aesthetic] of a {noun} | {{it}} in the [style/manner/look] of a {noun} "
        f"| [stylise/restyle/redraw/rework/remake] {{it}} as a {noun} | [style transfer/artistic "
        f"filter/art style]: {noun}"
    )


def _light(more: str, too: str, comparative: str) -> str:
    return (
        f"{{it}} [is/looks/seems/feels] [too/way too/much too/a bit too/so] [{too}], [fix it/please fix "
        f"that/make it {comparative}/correct it/can you fix it/it should be {comparative}] | why is "
        f"{{it}} so [{too}], make it {comparative} | "
        f"[make/get/render] {{it}} [a bit/a little/a lot/much/far/way/even/slightly/noticeably] "
        f"{comparative} | [i'd like/i want/i'd love/i need] {{it}} [a bit/a little/a "
        f"lot/much/far/way/even] {comparative} | {{it}} [could/should/must/needs to] be [a bit/a "
        f"lot/much/way/even] {comparative} | "
        f"{more} | can we [have/get] {{it}} {comparative} | [go/try] {comparative} | {comparative} "
        f"[tones/light/picture/image/video/colours] | the [picture/image/tones/lighting/light/exposure] "
        f"[should/could/must] be {comparative}"
    )


def _tint_pattern(colour: str) -> str:
    return (
        f"[tint/colour/paint/dye/shade/tone/tinge/wash/drench/bathe/soak] [everything/it all/all of "
        f"it/{{it}}/the whole thing/the picture] [in {colour}/{colour}] | [make/turn] [everything/it "
        f"all/the whole world/all of it/every colour/all the colours/the light/the tones] {colour} | "
        f"[put/lay/place/throw/use/add/apply/slap] a [{colour}/light {colour}/strong {colour}/deep "
        f"{colour}/soft {colour}/bright {colour}] "
        f"[filter/tint/cast/overlay/gel/glow/tone/film/layer/hue/shade] [on top/over everything/on "
        f"it/over it/on the lens/all over] | "
        f"[shift/push/move/pull/bend/lean/tilt] the [colours/tones/hues/colour balance/white "
        f"balance/light/palette] [to/towards/into] {colour} | [light/illuminate/lit/flood/shine on] "
        f"[everything/the scene/{{it}}] [with/in/by] [{colour} light/a {colour} lamp/{colour} "
        f"lamps/{colour} neon] | "
        f"[the light/all light/everything/the picture/the whole clip/it] [should be/must "
        f"be/is/turns/becomes/goes/looks] {colour} | [i want/i'd like/give me/show me] [everything/the "
        f"picture/the scene/it] in {colour} | [only/nothing but/all] [shades of {colour}/{colour} "
        f"tones/{colour}] | "
        f"{colour} [monochrome/duotone/gel/wash/mood/vibes/atmosphere/colour grading] | [more/lots "
        f"of/much more/a lot of/a strong] {colour} [in the colours/everywhere/all over/in the "
        f"picture/tint] | [see/view/watch/look at] {{it}} through [{colour} glasses/{colour} glass/a "
        f"{colour} lens/a {colour} window]"
    )


#: Requests with alternatives in brackets: each stands for many sentences. They carry the verbs and the little words on
#: which close operations differ ("take the colour out", "bring more colour in").
PATTERNS: dict[str, tuple[str, ...]] = {
    name: _split(text)
    for name, text in {
        "nothing": "[don't/do not/never/please don't] [change/edit/touch/alter/modify/adjust/do/apply] [anything/a "
        "thing/it/any of it/this/the video/the clip] | [leave/keep/let/hold] [it/everything/this/the "
        "video/the clip/it all] [alone/as is/as it is/the same/untouched/unchanged/exactly like "
        "this/the way it is/like that] | "
        "[i like/i love/i prefer] [it/this/the video] [as it is/the way it is/like that/already], "
        "[change nothing/no edits/leave it/don't touch it] | [give/hand/send/return/get] [me/] the "
        "[same/original/unedited/untouched/very same] [video/clip/thing/footage/one] "
        "[back/again/please/] | "
        "[no/zero/without any/not a single] "
        "[change/edit/effect/filter/modification/alteration/adjustment] [is needed/at "
        "all/needed/wanted/necessary/please] | there is [no need/nothing] to "
        "[change/edit/modify/do/fix/improve] | [everything/it all/it/the clip] [should/must/can/may] "
        "[stay/remain/be kept] [the same/as it is/unchanged/untouched/like this]",
        "black-and-white": "[remove/take out/strip/drain/drop/lose/get rid of/delete/kill/eliminate/throw away/wipe "
        "out/take away/discard/suck out/pull out/turn off/switch off/bleed out] [all "
        "the/the/every/any/all of the/all] [colour/colours/colour information/hues] | "
        "[no/zero/without any/not any/no more] [colour/colours/saturation/hue] [at "
        "all/left/anywhere/please/] | [only/just/nothing but/keep just the] [grey/greys/grey "
        "tones/shades of grey/black, white and grey/the brightness/luminance] [should "
        "remain/please/should be left/remain/] | "
        "{it} [like on/like from/as on] [an old/a] black and white "
        "[television/tv/photo/camera/newspaper] | [make/turn/convert/change/switch] [the colours/all "
        "colours/everything/it all] [to/into] [grey/greyscale/black and white/monochrome] | [could/can] "
        "we [lose/drop/remove/take out] [all of the/all/the] [colours/colour] | "
        "[fully/completely/totally/entirely] [desaturate/decolourise] [it/everything/the colours/the "
        "clip] | [the/a] [plain/simple/neutral/classic/soft] [black and white/greyscale/monochrome] "
        "[version/picture/conversion/look] | [saturation/colour] [zero/off/0/to zero/down to nothing]",
        "sepia": "[tone/tint/colour/stain/dye/turn] [everything/it/the picture/the video/it all] [in "
        "sepia/sepia/sepia brown/old photo brown/brown like an old photo/in antique brown] | {it} "
        "should [have/get/show] the [brown/brownish/sepia] [tone/colour/tint/look] of [old/very "
        "old/antique/early/ancient] [photos/photographs/pictures/prints] | "
        "[like/as/just like] [a/an] [photo/photograph/picture/portrait] [from/of] [1850/1890/1900/the "
        "1800s/the Victorian age/the nineteenth century/the wild west] [in brown/in sepia/] | "
        "[brown/sepia/brownish] [monochrome/toned/toning/old photo look/photograph look/duotone] | "
        "[an/the] [old/antique/ancient/historic/early] [brown/brownish/sepia] "
        "[photograph/photo/picture/print/portrait] | [make/take/give me] an antique "
        "[photograph/photo/picture] [of/from/out of] {it} | wild west [photo/photograph/wanted poster] "
        "[look/style/]",
        "warmer": _light(
            "[add/give it/bring in/i want/needs/put in] [more/some/a bit of/extra/a lot of] [warmth/warm "
            "light/warm tones/cosy warmth/warm colour] | [increase/raise/turn up/push/bump up] the "
            "[warmth/colour temperature/temperature/warm tones] | [warm up/heat up] the "
            "[picture/tones/scene/colours/white balance/light]",
            "cold/cool/blue/chilly/icy/bluish",
            "warmer",
        )
        + " | set [a/the] [warm/warmer] [white balance/colour temperature/colour grade] | the white "
        "balance should be [warm/warmer] | [a/some] [cosy/warm/pleasant warm/homely] "
        "[look/light/tone/mood/feeling/atmosphere] [for/in/to] {it} | [use/pick/choose/apply] "
        "[warm/warmer] [colours/tones/light/hues] | make {it} feel [warm/cosy/homely/warm and cosy]",
        "cooler": _light(
            "[add/give it/bring in/i want/needs/put in] [more/some/a bit of/extra/a lot of] [coolness/cool "
            "light/cool tones/cold tones/coldness/chill] | [decrease/lower/turn down/reduce/drop] the "
            "[warmth/colour temperature/temperature/warm tones] | [cool down/chill/cool] the "
            "[picture/tones/scene/colours/white balance/light]",
            "warm/yellow/hot/yellowish/orange",
            "[cooler/colder]",
        )
        + " | set [a/the] [cool/cold/cooler/colder] [white balance/colour temperature/colour grade] | the "
        "white balance should be [cool/cold/cooler/colder] | [a/some] "
        "[cold/cool/clinical/steely/chilly] [look/light/tone/mood/feeling/atmosphere] [for/in/to] {it} "
        "| [use/pick/choose/apply] [cool/cooler/cold/colder] [colours/tones/light/hues] | make {it} "
        "feel [cold/chilly/clinical/cold and clinical]",
        "faded": "[lower/reduce/decrease/drop/flatten/weaken/soften/turn down/tone down/cut] the "
        "[contrast/contrast a bit/contrast a lot/contrast and saturation/contrast and the "
        "colours/vibrance] | [mute/fade/wash out/bleach/dull/weaken/soften/subdue/tone down/pale] "
        "[the/all the/all/its] [colours/tones/picture/hues/shades] | "
        "[the/its] colours [should/ought to/must/could] [fade/be faded/be muted/look bleached/look "
        "washed out/be weaker/be paler/be duller/be less strong] | [like/as] [an/a] "
        "[old/sun-bleached/pale/washed-out/faded] [poster/polaroid/print/postcard/magazine/t-shirt] | "
        "{it} is too [colourful/contrasty/saturated/vivid/strong], [tone it down/mute it/fade it/soften "
        "it] | "
        "[less/lower/weaker/low/reduced] [contrast/saturation/contrast and saturation/colour "
        "strength/colour intensity] | [let/make] [it/everything/the picture/the whole picture/the "
        "colours] [fade/fade a bit/fade away a little/pale/look faded/look bleached] | "
        "[pale/matte/muted/bleached/washed-out/dull/flat] [and/,] [low in "
        "contrast/soft/dull/matte/flat/faded/weak] | [raise/lift] the [blacks/black level/black "
        "point/shadows to grey]",
        "vivid": "[boost/increase/raise/pump up/crank up/turn "
        "up/push/enhance/intensify/amplify/strengthen/improve/max out/bump up] the "
        "[saturation/colours/colour/vibrance/colour intensity/contrast and saturation/colour "
        "strength/contrast/hues] [a lot/please/to the max/strongly/] | "
        "[the/all the/these/all] colours [should/must/could/need to/have to] [pop/be stronger/be more "
        "vivid/shine/be more intense/be brighter and stronger/be vibrant/be richer/be bolder/stand out] "
        "| [add/give it/bring in/put in/pump in/i want/needs] [more/much more/lots of/a lot "
        "of/some/extra] [colour/saturation/vibrance/colour intensity/punch/pop/contrast and colour] | "
        "the colours [are/look/seem] [dull/boring/weak/pale/flat/washed out/bland/lifeless], [make them "
        "pop/boost them/make them stronger/fix it/more colour please/make them vivid] | [make/let] "
        "[the/all the/all] colours [pop/stronger/more vivid/more "
        "intense/richer/bolder/vibrant/sing/shine/explode] | [bursting with/full of/rich in/exploding "
        "with/packed with] [colour/colours/strong colours/vivid colour] | "
        "[really/very/super/extremely/highly] [vibrant/saturated/colourful/vivid/intense] "
        "[colours/picture/look/version/please] | [higher/more/stronger/extra/maximum] "
        "[saturation/colour/contrast/vibrance/colour saturation]",
        "inverted": "[invert/reverse/flip/negate/swap/switch/exchange] [the/all/all the/every/its] "
        "[colours/colour/tones/pixel values/brightness/colour values/hues] | "
        "[swap/exchange/switch/flip/reverse/trade] [light and dark/dark and light/black and white/white "
        "and black/bright and dark/the darks and the lights/blacks and whites] | "
        "[make/turn] [what is/everything/whatever is] [dark/black] [light/white/bright] and [what "
        "is/everything/whatever is] [light/white/bright] [dark/black] | [dark/black/bright/light/white] "
        "[should be/becomes/turns into/is] [light/white/dark/black/bright] [and/and vice versa/and the "
        "other way round/and the reverse] | "
        "[show/make/give me/create/i want/get me] [the/a/its] [negative/photo negative/film "
        "negative/inverse/colour negative/photographic negative/opposite] [of it/of "
        "this/version/image/] | [every/each] [colour/tone/pixel] [becomes/should be/turns into/is "
        "replaced by/switched to/swapped with] its [opposite/complement/inverse/complementary "
        "colour/negative] | "
        "[opposite/complementary/inverse/reversed/flipped/negative] [colours/colour "
        "everywhere/tones/image/picture] | like [looking at/holding/seeing] [a/an old/the] [film "
        "negative/negative/roll of negatives/x-ray] | [do/perform/apply] [a/an] [colour "
        "inversion/inversion/negative effect/colour flip]",
        "brighter": _light(
            "[add/give it/bring in/i want/needs/let in/shine/put in] [more/some/a bit more/extra/a lot "
            "of/lots of] [light/brightness/exposure/daylight/illumination] | [increase/raise/turn up/push "
            "up/bump up/lift/boost/crank up] the "
            "[brightness/exposure/light/lights/gain/lightness/luminance/light level] | "
            "[brighten/lighten/light up/illuminate/lighten up/brighten up] [it/everything/the picture/the "
            "scene/the dark parts/the shadows/the shot] [a lot/a bit/strongly/please/]",
            "dark/dim/gloomy/murky/underexposed/black",
            "[brighter/lighter]",
        )
        + " | i [can't/cannot/can hardly/can barely] see [anything/a thing/what is going on/much], "
        "[brighten it/add light/make it brighter/more light/lighten it] | [turn/switch/put] on [the "
        "lights/the light/a lamp/all the lamps] | [brightness/exposure] [up/plus/higher/more]",
        "darker": _light(
            "[remove/take away/cut/block/i want/needs/use] [less/some of the/half the/a bit of the/most of "
            "the] [light/brightness/exposure/daylight/illumination] | [decrease/lower/turn down/pull "
            "down/bring down/reduce/drop/cut] the "
            "[brightness/exposure/light/lights/gain/lightness/luminance/light level] | "
            "[darken/dim/shade/dim down/tone down the light of] [it/everything/the picture/the scene/the "
            "bright parts/the highlights/the shot] [a lot/a bit/strongly/please/]",
            "bright/light/glaring/overexposed/dazzling/shiny",
            "[darker/dimmer/less bright]",
        )
        + " | it [hurts my eyes/is blinding/is glaring/dazzles me], [darken it/less light/make it "
        "darker/dim it] | [turn/switch/put] [off the lights/out the light/down the lamps/down the "
        "lights] | [brightness/exposure] [down/minus/lower/less] | make {it} [gloomy/dim/shadowy/murky] "
        "| [less/reduced/lower] [brightness/light/exposure/luminance]",
        "night": _time(
            "[night/midnight/nighttime/late night/the middle of the night/the night]",
            "[at night/at midnight/after dark/by moonlight/under the moon/in the middle of the night/at "
            "nighttime/in the moonlight]",
        )
        + " | [with/only/just/let there be] [moonlight/the moon/stars/the night sky] [only/as the only "
        "light/and darkness/shining] | let [it/the sky] [be dark outside/get dark outside/become night] "
        "| [dark outside/pitch dark night/a dark blue night/a moonlit night/a starry night] | the "
        "[moon/stars] [should shine/should be out/are out/is out/shines]",
        "sunset": _time(
            "[sunset/dusk/sundown/golden hour/evening/the golden hour/the evening/twilight]",
            "[at sunset/at dusk/at sundown/at golden hour/in the evening/in the evening sun/during sunset]",
        )
        + " | the sun [should be/is/was/must be] [setting/going down/sinking/about to set/low in the "
        "evening sky] | [bathe/drench/wrap/light] [everything/{it}/the scene] in [the glow of the "
        "evening sun/sunset light/the last light of the day/golden hour light/evening light/the light "
        "of dusk] | [the light/a glow/an orange glow/the warmth] of [a late summer evening/the evening "
        "sun/the setting sun/sunset/dusk/sundown]",
        "dawn": _time(
            "[dawn/sunrise/daybreak/early morning/the early morning/first light/morning/sunup]",
            "[at dawn/at sunrise/at daybreak/early in the morning/in the early morning/at first light/in "
            "the morning/during sunrise]",
        )
        + " | the sun [should be/is/was/must be] [rising/coming up/about to rise/just rising/low in the "
        "morning sky] | [bathe/drench/wrap/light] [everything/{it}/the scene] in [the glow of the "
        "morning sun/sunrise light/the first light of the day/the pale glow of dawn/morning light/the "
        "pink light of daybreak] | [the light/a glow/a pink glow/the softness] of [an early morning/the "
        "morning sun/the rising sun/sunrise/dawn/daybreak]",
        "autumn": "[change/switch/set/turn/move] the season [to/into] [autumn/fall/October] | the season [should "
        "be/must be/is] [autumn/fall] | [move/bring/take/put/shift] {it} [to/into/in] [autumn/the "
        "autumn/the fall/October/fall] | what would {it} look like in [autumn/October/the "
        "fall/November] | [all/all the/the] [leaves/trees/plants/bushes/greens/green things/grass] "
        "[should/must/ought to/need to] [be/become/turn/go] [orange/brown/rusty/orange and brown/red "
        "and gold/golden/autumnal] | "
        "[turn/make/colour/paint/change] [the/all the/all/every] "
        "[leaves/trees/foliage/green/greens/green parts/grass/vegetation/forest/plants] "
        "[orange/brown/golden/red and orange/rusty brown/orange and brown/autumnal] | "
        "[replace/swap/exchange/change] [the green/green/all greens/the greens] [with/for/by/into] "
        "[orange/brown/autumn colours/fall colours/orange and brown/rusty tones] | [give me/i "
        "want/add/show/let there be] [autumn/fall/October] "
        "[colours/foliage/leaves/everywhere/tones/vibes/mood] | "
        "[i want it to be/let it be/it should be/as if it was] [autumn/fall/October/November] "
        "[now/outside/already/] | [green/summer] [to/becomes/into] [orange/autumn/fall/brown]",
        **{
            f"tint-{colour}": _tint_pattern(colour)
            for colour in ("red", "orange", "yellow", "green", "blue", "purple", "pink")
        },
        "snow": _weather(
            "[snow/falling snow/a snowstorm/a blizzard/snowflakes/snowfall/winter]",
            "[snowy/wintry/frosty/white and snowy]",
            "[snow/snowflakes/flakes/flurries/white flakes] [should be/are/must be/keep] [falling/coming "
            "down/drifting down/floating/dancing in the air/swirling around]",
        )
        + " | [change/switch/set] the season to [winter/wintertime] | [cover/bury/blanket/dust/wrap] "
        "[everything/{it}/the ground/the scene/the whole place] [in/with/under] [snow/white snow/fresh "
        "snow/a layer of snow/deep snow/frost] | everything [should be/is/must be] [covered in "
        "snow/snowed in/white with snow/under snow/frozen and white] | [a/some] "
        "[white/frosty/wintry/cold winter/snowy] [landscape/world/day/scene/scenery/mood] | [i want it "
        "to be/let it be/it should be/as if it was] [winter/snowing/Christmas time/January/snowy] "
        "[outside/now/] | bring some winter [to/into] {it}",
        "rain": _weather(
            "[rain/falling rain/heavy rain/a downpour/a rainstorm/a thunderstorm/drizzle/raindrops]",
            "[rainy/drizzly/wet/stormy/grey and rainy/wet and grey]",
            "[rain/raindrops/drops/water/a shower/drops of rain] [should be/is/must be/keeps] "
            "[falling/pouring down/coming down/pouring from the sky/lashing down/falling from the sky]",
        )
        + " | it [should be/is/must be/has to be] [pouring/raining/pouring down/raining "
        "hard/drizzling/bucketing down/raining cats and dogs] | [drench/soak/wet] [everything/{it}/the "
        "scene/the whole place] [in rain/with rain/to the bone/] | everything [should be/is/must be] "
        "[drenched/soaked/wet with rain/soaking wet/dripping wet] | [let/make] [it/the rain/rain] "
        "[pour/rain/fall/come down/rain cats and dogs] [on it/heavily/hard/] | bring some "
        "[wet/bad/stormy] weather into {it} | get the umbrellas out",
        "fog": _weather(
            "[fog/mist/haze/thick fog/dense fog/smoke/a veil of mist/smog/thick mist]",
            "[foggy/misty/hazy/murky and foggy]",
            "[fog/mist/haze/smoke/a cloud] [should be/is/keeps] [rolling in/drifting through/hanging in the "
            "air/drifting over it/creeping in/filling the air]",
        )
        + " | [wrap/shroud/veil/cloak/hide/cover/drown] [everything/{it}/the scene/the whole place] in "
        "[fog/mist/haze/thick fog/smoke] | {it} should [vanish/disappear/fade/be lost/get lost] "
        "[in/into/behind] [fog/mist/the fog/thick mist/the haze] | [poor/low/bad/reduced/hardly any] "
        "visibility [because of the fog/due to mist/in the haze/] | let [fog/mist/haze/the fog] [roll "
        "in/drift through/drift over/rise/come in/cover it] | a [foggy/misty/hazy] "
        "[morning/day/evening/atmosphere/mood/look/autumn morning]",
        "underwater": "[put/place/move/take/bring/sink/drop/throw/set/submerge/plunge/dunk/drown] {it} [under "
        "water/underwater/in the sea/under the sea/in the ocean/to the bottom of the sea/beneath the "
        "waves/into the deep sea/below the surface/in an aquarium/in a fish tank/beneath the ocean's "
        "surface] | "
        "{it} should [take place/happen/play/be/be filmed] [under water/underwater/at the sea floor/at "
        "the bottom of the ocean/in the deep sea/in an aquarium/in a fish tank] | [as seen by/the "
        "way/like/as if filmed by] a [diver/scuba diver/fish/submarine/mermaid/snorkeler] [sees "
        "it/would see it/under the sea/] | "
        "what would {it} look like [underwater/under the sea/to a diver/to a fish/at the bottom of the "
        "sea/in an aquarium] | everything [should be/is/must be] [under water/submerged/flooded/sunk/at "
        "the bottom of the sea/immersed in water] | [flood/fill] [everything/{it}/the place/the "
        "scene/the room] with [water/sea water/ocean water/blue-green water] | "
        "[i'd love it/i want it/put it/show it] [in a fish tank/in the deep sea/under water/in an "
        "aquarium/at the bottom of a pool] | [blue-green/turquoise/deep/murky/clear] "
        "[water/sea/ocean/sea water] [everywhere/all around/around everything] | [dive/go diving/let's "
        "dive/sink] [into the sea/under water/below the surface/to the sea floor/deep down]",
        "pencil-sketch": _medium(
            "[pencil sketch/pencil drawing/hand drawing/line drawing/graphite drawing/charcoal sketch/sketch/drawing]",
            "draw/sketch/trace/outline/redraw/scribble/doodle",
            "[in pencil/with a pencil/in graphite/by hand in pencil/on paper with a pencil/with pencil "
            "lines/with charcoal]",
        )
        + " | [trace/draw/outline] [the contours/everything/the outlines/all edges/the edges] [in "
        "pencil/with a pencil/in graphite/by hand/on paper] | [like/as] a [sketch/drawing/page] "
        "[from/in/out of] [an artist's notebook/a sketchbook/a drawing lesson/an art class] | "
        "[only/just/nothing but] [pencil lines/outlines/graphite strokes/contours/lines on paper] | "
        "pencil [lines/strokes/shading/art/outlines] [on white paper/only/please/]",
        "cartoon": _medium(
            "[cartoon/toon/animated film/cartoon film/Disney cartoon/kids' cartoon/animation/TV "
            "cartoon/Japanese anime/cel-shaded cartoon]",
            "draw/animate/cartoonise/redraw/toon-shade/colour",
            "[as a cartoon/like a cartoon/in cartoon style/in anime style/like Disney/like Ghibli/like an "
            "animated movie]",
        )
        + " | [make/turn/change] [the people/everyone/everything/the characters/them all] [look "
        "like/into/to] [cartoon characters/cartoons/anime characters/toons/animated figures] | "
        "[like/as] something [from/on/out of] [Cartoon Network/a Disney movie/an anime/the "
        "Simpsons/children's TV/a Pixar film] | [flat/clean/simple] [cartoon/animation/anime] "
        "[colours/shading/look/outlines]",
        "oil-painting": _medium(
            "[painting/oil painting/Van Gogh/Monet/Rembrandt/painting in oils/oil on canvas/impressionist "
            "painting/museum painting/old master painting]",
            "paint/repaint/brush/oil-paint",
            "[in oil/in oils/with oil paint/on canvas/with thick brush strokes/in oil colours/like Van "
            "Gogh/like an old master]",
        )
        + " | [thick/heavy/broad/visible/bold/rough] [brush strokes/strokes of oil paint/oil paint/paint "
        "strokes/brushwork] [everywhere/on canvas/please/] | [hanging/like a picture/like a canvas/it "
        "hangs] in [a museum/the Louvre/an art gallery/a gallery] | [painted/done/made] by [Van "
        "Gogh/Monet/Rembrandt/an old master/a painter/Cezanne/an impressionist] | [put/bring/brush] "
        "[everything/{it}] [on/onto] [canvas/a canvas] [with oil paint/in oils/]",
        "watercolour": _medium(
            "[watercolour/aquarelle/watercolour painting/watercolour picture/watercolour sketch/painting in "
            "watercolours/watercolour illustration]",
            "paint/repaint/wash/brush/colour",
            "[in watercolour/in watercolours/with watercolours/in watercolour washes/as an aquarelle/with "
            "watercolour paint/with water and pigment]",
        )
        + " | [soft/pale/light/wet/thin/transparent] [washes/watercolour washes/washes of "
        "watercolour/watercolours/watercolour tones] [on paper/on white paper/please/] | [like/as] a "
        "watercolour [from/in/out of] a [travel sketchbook/children's book/sketchbook/gallery] | "
        "[painted/done/made] [with/in] [watercolours/watercolour/water and pigment/wet washes] [on "
        "paper/on white paper/]",
        "pixel-art": _medium(
            "[retro game/video game/8-bit game/pixel art picture/Minecraft world/arcade game/Nintendo "
            "game/Game Boy game/low-res game/mosaic of blocks]",
            "pixelate/pixelise/render/redraw/build",
            "[in pixel art/in 8-bit/in big pixels/in blocks/with big square pixels/in Minecraft/in low "
            "resolution/in 8-bit graphics]",
        )
        + " | [break/split/divide/chop/reduce] [it/everything/the picture/{it}] [up into/into/to] "
        "[squares/blocks/big pixels/square pixels/large blocks/a mosaic/coarse pixels] | "
        "[big/large/chunky/huge/coarse/square/visible] [pixels/blocks/square pixels/squares] | "
        "[8-bit/16-bit/8 bit/retro/arcade/Nintendo/pixel/Minecraft] [graphics/game "
        "graphics/style/look/art] | [like/as] [an/a] [game/video game/arcade machine/computer game] "
        "from [the eighties/1985/the 80s/the early nineties/the nineties]",
        "film-noir": _medium(
            "[film noir/noir film/detective thriller/noir thriller/detective movie/Hitchcock noir/private "
            "eye film/crime movie in black and white/1940s detective film]",
            "shoot/film/light/render/stage",
            "[as a film noir/in film noir style/like a film noir/with noir lighting/like a Hitchcock "
            "noir/in hard black and white/like a 1940s detective movie]",
        )
        + " | [deep/dark/hard/harsh/heavy] [black shadows/shadows/blacks] and "
        "[harsh/bright/hard/burnt/stark] [whites/lights/highlights] [in black and white/like in a "
        "noir/noir style/] | [high/strong/hard/stark/extreme/dramatic] contrast [black and "
        "white/noir/monochrome] | [dramatic/stark/hard/harsh/contrasty/moody] black and white "
        "[noir/like a crime film/like a detective movie/with deep shadows/] | [detective/crime/private "
        "eye/gangster/thriller] [story/film/movie] [from/of] the [forties/1940s/40s] [noir/]",
        "old-film": _medium(
            "[silent movie/old film/old movie/vintage film/home movie/worn film reel/newsreel/Charlie "
            "Chaplin movie/1920s movie/super 8 film/piece of archive footage]",
            "age/film/shoot/project/play/record",
            "[on old film/like an old movie/on super 8/in the days of silent cinema/like a worn film "
            "reel/with an old projector/like archive footage/a hundred years ago]",
        )
        + " | [like/as if/make it look like it was] [filmed/shot/recorded/made] [in the 1920s/in 1915/in "
        "the days of silent movies/a century ago/long ago/with a hand-cranked camera/in the early days "
        "of cinema] | [add/give it/put in/i want] [film grain/old film grain/grain and age/a vintage "
        "film look/wear and grain/age and grain] | [grainy/aged/worn/old/vintage/antique] [and/,] "
        "[aged/worn/grainy/old/retro] [film/movie/footage/reel/cinema] | footage from [an old "
        "projector/a very old camera/an archive/an attic/the silent era/a dusty film can]",
        "comic": _medium(
            "[comic/comic book/comic strip/graphic novel/comic panel/Marvel comic/superhero comic/pop art "
            "print/Lichtenstein/page of a comic book]",
            "draw/ink/print/redraw/outline",
            "[as a comic/like a comic/in comic style/like a comic book/in pop art style/with ink and "
            "halftone dots/like a graphic novel/as a comic strip]",
        )
        + " | [bold/thick/strong/heavy/black] [ink outlines/ink lines/comic outlines/black "
        "outlines/inking] [and/with] [halftone dots/printed dots/Ben-Day dots/dots/loud colours] | "
        "[like/as] a [panel/page/picture/frame] [of/from/in] a [comic book/superhero comic/Marvel "
        "comic/graphic novel/comic strip] | [pop art/comic/comic book/superhero/Marvel/Spider-Verse] "
        "[colours/dots/print/page/panel/illustration/vibes]",
    }.items()
}
