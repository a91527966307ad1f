"""How people ask for an edit: hand-written phrasings, a grammar that writes many more, captions of the result, and
what nobody can do.

``TRAIN`` and ``TEST`` hold what was written by hand. ``TEST`` is for measuring and, with ``NONSENSE_TEST``, for
choosing from where on a sentence is far from what is known; :func:`draw_instruction` never returns a sentence of it,
nor one with nearly the same words. Names are those of ``operations.OPERATIONS`` and, for edits of one thing in a world
scene, ``OBJECT_EDITS``; their sentences have the slots ``{object}``, ``{colour}`` and ``{shape}``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vedit.world.colloquial import COLLOQUIAL
from vedit.world.lexicon import COLOUR_WORDS, LEXICON, PATTERNS, SHAPE_WORDS
from vedit.world.subjects import draw_after, draw_before, draw_subject

if TYPE_CHECKING:
    import numpy as np

OBJECT_EDITS = ("recolour", "remove", "replace")


def _list(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _tint_train(c: str) -> tuple[str, ...]:
    return (
        f"tint it {c}",
        f"give the video a {c} tint",
        f"put a {c} filter on it",
        f"make everything {c}",
        f"add a {c} colour cast",
        f"bathe the scene in {c} light",
        f"turn the whole picture {c}",
        f"colour it {c}",
        f"I want a {c} tone over everything",
        f"shift all colours towards {c}",
        f"{c} overlay please",
        f"as if seen through {c} glass",
        f"light the whole scene with a {c} lamp",
        f"wash the footage in {c}",
    )


def _tint_test(c: str) -> tuple[str, ...]:
    return (
        f"could the whole thing be tinted {c}",
        f"lay a {c} cast over the clip",
        f"everything should be bathed in {c}",
        f"shine a {c} light on all of it",
        f"make the picture look {c} all over",
        f"i'd like the colours to lean heavily to {c}",
    )


_TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

#: Hand-written phrasings for training, at least twelve for each edit.
TRAIN: dict[str, tuple[str, ...]] = {
    "nothing": _list("""
        leave it as it is
        do nothing
        don't change anything
        keep the video exactly the same
        no changes please
        just give me the original back
        leave the clip alone
        it's fine, don't touch it
        return it unedited
        keep everything the way it is
        I don't want any edit
        copy the footage without any effect
        make no change to this shot
        pass it through untouched
    """),
    "black-and-white": _list("""
        make it black and white
        turn the video into black and white
        remove all colour
        convert to greyscale
        I want it in monochrome
        take the colour out of this clip
        show it without any colour
        drain the colours away until only grey is left
        as if colour film did not exist
        give it a black-and-white look
        b&w please
        desaturate the whole thing completely
        set the saturation to zero
        make the footage grey
    """),
    "sepia": _list("""
        make it sepia
        give it a sepia tone
        turn this into an old brown photograph
        apply a sepia filter
        tone the video brown like an antique photo
        make it look like a Victorian photograph
        sepia please
        I want brown tones like in grandma's album
        as if the picture had been stained with tea
        convert the clip to sepia
        use the colours of a daguerreotype
        make this shot brown and old like early photographs
        put a brownish antique tint on it
    """),
    "warmer": _list("""
        make it warmer
        warm up the colours
        give the scene warmer tones
        raise the colour temperature
        make the light feel cosy and warm
        shift the white balance towards warm
        add some warmth to the video
        it looks too cold, warm it up
        use a warm filter
        as if lit by candles
        I'd like warmer colours
        make the footage a bit more golden and warm
        give it a warm colour grade
    """),
    "cooler": _list("""
        make it cooler
        cool down the colours
        give the scene colder tones
        lower the colour temperature
        make the light feel cold
        shift the white balance towards cool
        take the warmth out of the video
        it looks too warm, cool it down
        use a cooling filter
        as if lit by fluorescent tubes
        I'd like colder colours
        make the footage chilly in tone
        give it a cold colour grade
    """),
    "faded": _list("""
        make it look faded
        wash out the colours
        give it a matte look
        lower the contrast and the saturation
        make it look like a photo left in the sun
        mute the colours
        fade the whole clip
        make it pale and dull
        bleach the picture a little
        I want washed-out colours
        lift the blacks for a faded look
        as if the print had faded over the years
        make the colours weaker
        tone down the contrast
    """),
    "vivid": _list("""
        make the colours vivid
        boost the saturation
        make it more colourful
        let the colours pop
        increase saturation and contrast
        make the video vibrant
        give it punchy colours
        turn up the colours
        intensify all the colours
        I want rich, bold colours
        the colours are boring, make them stronger
        make this clip eye-popping
        crank the saturation all the way up
    """),
    "inverted": _list("""
        invert the colours
        make it a negative
        turn the video into a photo negative
        swap light and dark
        show it like a film negative
        reverse all the colours
        give it an x-ray look
        make black white and white black
        negative effect please
        flip every colour to its opposite
        I want the colours inverted
        as if I held the film negative against the light
        replace every colour with its complement
    """),
    "brighter": _list("""
        make it brighter
        brighten the video
        increase the brightness
        turn up the lights
        add more light to the scene
        raise the exposure
        it is too dark, lighten it
        make the footage lighter
        let more light in
        I'd like the whole clip to be brighter
        lighten up the shadows
        as if someone had switched on a big lamp
        overexpose it a bit
    """),
    "darker": _list("""
        make it darker
        darken the video
        lower the brightness
        dim the lights
        take some light away from the scene
        reduce the exposure
        it is too bright, darken it
        make the footage dimmer
        let less light in
        I'd like the whole clip to be darker
        deepen the shadows and dim everything
        as if someone had turned down the lamp
        underexpose it a bit
    """),
    "night": _list("""
        make it night
        turn day into night
        change the time of day to night
        make it look like it was filmed at night
        show the scene by moonlight
        set it at midnight
        as if it were night
        give it a night look
        let night fall over the scene
        I want this after dark
        make the shot nocturnal
        put the scene under a dark night sky
        day for night please
    """),
    "sunset": _list("""
        make it look like sunset
        set the scene at sunset
        give it golden hour light
        add an evening glow
        as if the sun was going down
        turn it into a sunset scene
        change the time of day to sunset
        light it with the setting sun
        make it dusk
        let the evening sun shine on everything
        I want the orange light of the evening
        film it at sundown
        put the clip in golden hour
    """),
    "dawn": _list("""
        make it look like dawn
        set the scene at sunrise
        give it early morning light
        add the soft pink light of dawn
        as if the sun was just coming up
        turn it into a sunrise scene
        change the time of day to early morning
        light it with the rising sun
        make it daybreak
        let the morning begin
        I want pale morning light
        film it at the crack of dawn
        put the clip at first light
    """),
    "autumn": _list("""
        make it autumn
        turn the leaves orange
        give it autumn colours
        change the season to fall
        make it look like October
        as if it were autumn
        make the green things orange and brown
        I want fall foliage
        turn this into an autumn scene
        colour the trees and grass like in autumn
        let autumn come
        make the scene autumnal
        replace the green with fall colours
    """),
    **{f"tint-{c}": _tint_train(c) for c in _TINTS},
    "snow": _list("""
        make it snowy
        make it snow
        turn this into a winter scene
        add falling snow
        cover everything with snow
        let it snow in the video
        give me a winter wonderland
        as if it were snowing
        change the weather to snow
        put the scene in the middle of a blizzard
        I want snowflakes falling
        make it look like a cold winter day with snow
        set it in winter
        snowstorm please
    """),
    "rain": _list("""
        make it rain
        make it rainy
        add rain to the scene
        turn this into a rainy day
        let it pour
        as if it were raining
        change the weather to rain
        put the scene in a downpour
        I want heavy rain falling
        give me a wet and grey rainy day
        drench everything in rain
        add a thunderstorm
        rainstorm please
    """),
    "fog": _list("""
        make it foggy
        add fog to the scene
        fill the video with mist
        turn this into a misty day
        let the fog roll in
        as if there was thick fog
        change the weather to fog
        cover everything in haze
        I want a misty atmosphere
        wrap the scene in fog
        make it hazy so you can hardly see
        put some mist in the air
        thick fog please
    """),
    "underwater": _list("""
        make it look underwater
        put the scene under water
        turn this into an underwater scene
        submerge everything
        as if it was filmed at the bottom of the sea
        sink the whole thing in the ocean
        make it look like an aquarium
        I want it deep under the sea
        flood the scene with water
        give it an underwater effect
        show it the way a diver would see it
        move the scene below the surface
        dive with this shot
    """),
    "pencil-sketch": _list("""
        turn it into a pencil sketch
        make it a pencil drawing
        sketch the video
        draw it with a pencil
        make it look hand-drawn in graphite
        as if an artist had sketched it on paper
        convert this into line art
        I want a drawing in black pencil
        give it a sketch effect
        show only pencil lines on white paper
        redraw the clip in pencil
        pencil drawing please
        make the footage look like a sketchbook
    """),
    "cartoon": _list("""
        turn it into a cartoon
        make it look like a cartoon
        cartoonify the video
        give it an anime look
        make the scene look animated
        as if it was a Disney movie
        convert this into an animated film
        I want flat cartoon colours with outlines
        cartoon style please
        cel shade the clip
        draw it like a kids' cartoon
        make everything cartoonish
        apply a toon effect
    """),
    "oil-painting": _list("""
        turn it into an oil painting
        make it look like an oil painting
        paint it in oil
        render the video with thick brush strokes
        as if Van Gogh had painted it
        give it a painterly look
        convert this into a painting on canvas
        I want it to look like a museum painting
        oil painting please
        apply an oil paint effect
        repaint the scene with oil colours
        make the clip look like an impressionist painting
        put this on canvas
    """),
    "watercolour": _list("""
        turn it into a watercolour
        make it look like a watercolour painting
        paint it in watercolours
        render the video as an aquarelle
        as if it was painted with watercolours on paper
        give it a watercolour effect
        convert this into a watercolour picture
        I want soft washes of watercolour
        watercolour style please
        apply a watercolour filter
        repaint the scene with watercolours
        make the clip look like an aquarelle
        do it in watercolour on white paper
    """),
    "pixel-art": _list("""
        turn it into pixel art
        make it pixelated
        pixelate the video
        make it look like an 8-bit game
        give it a retro video game look
        as if it was an old Nintendo game
        convert this into big pixels
        I want it blocky like Minecraft
        pixel art please
        show it in large square pixels
        reduce the clip to a mosaic of blocks
        make the scene look like a Game Boy game
        apply a pixel effect
    """),
    "film-noir": _list("""
        make it film noir
        give it a film noir look
        make it look like a 1940s detective movie
        turn this into a noir thriller
        high contrast black and white with deep shadows
        as if Humphrey Bogart was about to walk in
        convert this into a film noir
        I want dramatic black and white like a crime movie
        noir style please
        apply a noir filter
        shoot the scene like a hard-boiled detective story
        make the clip look like Sin City
        use hard black and white noir lighting
    """),
    "old-film": _list("""
        make it look like an old film
        turn this into a silent movie
        give it a vintage film look
        add film grain and age the footage
        as if it was filmed a hundred years ago
        make it look like a 1920s movie
        convert this into old archive footage
        I want it to look like super 8
        old movie style please
        apply an old film effect
        make the clip look like it came from an old projector
        make it vintage
        age the video like a worn film reel
    """),
    "comic": _list("""
        turn it into a comic
        make it look like a comic book
        give it a comic book style
        make it pop art
        render the video like a graphic novel
        as if it was printed in a comic
        convert this into a comic strip
        I want bold ink outlines and halftone dots
        comic style please
        apply a comic effect
        draw the scene like a superhero comic
        make the clip look like a Lichtenstein
        put this in a comic book panel
    """),
    "recolour": _list("""
        make the {object} {colour}
        turn the {object} {colour}
        paint the {object} {colour}
        change the colour of the {object} to {colour}
        recolour the {object} to {colour}
        colour the {object} {colour}
        I want the {object} to be {colour}
        the {object} should be {colour}
        give the {object} a {colour} colour
        dye the {object} {colour}
        set the {object} to {colour}
        let the {object} be {colour}
        change the {object} to {colour}
        repaint the {object} in {colour}
    """),
    "remove": _list("""
        remove the {object}
        delete the {object}
        take the {object} out
        erase the {object}
        get rid of the {object}
        make the {object} disappear
        I don't want the {object} in the video
        the scene without the {object}
        take away the {object}
        let the {object} vanish
        cut the {object} out of the picture
        there should be no {object}
        hide the {object}
        clean the {object} out of the shot
    """),
    "replace": _list("""
        replace the {object} with a {shape}
        turn the {object} into a {shape}
        swap the {object} for a {shape}
        change the {object} into a {shape}
        make the {object} a {shape}
        put a {shape} in place of the {object}
        I want a {shape} instead of the {object}
        the {object} should become a {shape}
        transform the {object} into a {shape}
        exchange the {object} for a {shape}
        give the {object} the shape of a {shape}
        use a {shape} where the {object} is
        let the {object} be a {shape}
        morph the {object} to a {shape}
    """),
}

#: Hand-written phrasings kept for testing: never trained on.
TEST: dict[str, tuple[str, ...]] = {
    "nothing": _list("""
        please don't edit this at all
        I like it the way it is, so change nothing
        keep my clip untouched
        give the same video back to me
        there's no need to modify anything
        let everything stay the same
    """),
    "black-and-white": _list("""
        strip the colour so that just the greys remain
        I'd love to see this in greyscale
        could we lose all of the colours
        show me this like on a black and white television
        everything in shades of grey, please
        go for a monochrome picture
    """),
    "sepia": _list("""
        it should have the brown tone of very old photographs
        sepia-toned, like an album from the Victorian age
        let this look like an antique brownish picture
        colour everything in old photo brown
        could you tone the footage in sepia
        make an antique photograph of this
    """),
    "warmer": _list("""
        the picture feels cold, give it warmer light
        more cosy warmth in the colours
        set a warm white balance
        turn the colour temperature up so it feels warm
        could the tones be warmer
        a warm and cosy look for the whole clip
    """),
    "cooler": _list("""
        the picture feels too warm, give it colder light
        more coolness in the colours
        set a cool white balance
        turn the colour temperature down so it feels cold
        could the tones be colder
        a cold and clinical look for the whole clip
    """),
    "faded": _list("""
        it should look like a washed-out polaroid
        weaken the colours and flatten the contrast
        the colours ought to look bleached by years of sun
        pale, matte and low in contrast
        could you mute the tones of this footage
        let the whole picture fade like an old poster
    """),
    "vivid": _list("""
        everything should be bursting with colour
        could the colours be a lot stronger
        pump more saturation into the shot
        really vibrant, saturated colours please
        the colours look dull, make them pop
        enhance the colour intensity of the clip
    """),
    "inverted": _list("""
        I want to see the negative of this
        what is dark should be light and what is light should be dark
        show opposite colours everywhere
        could you do a colour inversion of the footage
        like a negative from an old film camera, colours reversed
        switch every colour to its complementary one
    """),
    "brighter": _list("""
        can we have a bit more light in here
        the shot is too dim, raise the brightness
        push the exposure up
        I can hardly see anything, lighten the picture
        the whole clip could use more brightness
        illuminate the scene a lot more
    """),
    "darker": _list("""
        can we have a bit less light in here
        the shot is too bright, turn the brightness down
        pull the exposure down
        dim the picture, it is glaring
        the whole clip could be less bright
        make the scene gloomy and dim
    """),
    "night": _list("""
        it should be the middle of the night
        what would this look like under the moon
        I want a moonlit version of the clip
        move the scene to midnight
        let it be dark outside, with moonlight only
        show everything at nighttime
    """),
    "sunset": _list("""
        the sun should be setting in this shot
        bathe everything in the glow of the evening sun
        what would this look like at dusk
        move the scene to the golden hour
        give me the light of a late summer evening
        could the clip be set at sundown
    """),
    "dawn": _list("""
        the sun should be rising in this shot
        bathe everything in the pale glow of daybreak
        what would this look like at sunrise
        move the scene to the early morning
        give me the first light of the day
        could the clip be set at dawn
    """),
    "autumn": _list("""
        all the leaves should be in fall colours
        what would this look like in October
        move the scene into the autumn
        the greens ought to become orange and rusty brown
        give me autumn foliage everywhere
        could the season be fall
    """),
    **{f"tint-{c}": _tint_test(c) for c in _TINTS},
    "snow": _list("""
        snow should be falling all over the place
        bring some winter into this shot
        what would this look like in a snowstorm
        I'd love a white, frosty landscape
        could you blanket the scene in snow
        everything snowed in, with flakes in the air
    """),
    "rain": _list("""
        it should be pouring down
        bring some wet weather into this shot
        what would this look like in a thunderstorm
        I'd love a grey, drizzly day
        could you let rain fall on the scene
        everything drenched, with raindrops in the air
    """),
    "fog": _list("""
        the scene should vanish in thick mist
        bring some haze into this shot
        what would this look like on a foggy morning
        I'd love a veil of mist over it
        could you let fog drift through the scene
        everything shrouded, with poor visibility
    """),
    "underwater": _list("""
        this should take place at the sea floor
        bring the shot beneath the ocean's surface
        what would this look like to a scuba diver
        I'd love it to be in a fish tank
        could you sink the scene in the deep sea
        everything submerged in blue-green water
    """),
    "pencil-sketch": _list("""
        this should look as if drawn by hand with a pencil
        trace everything in graphite on paper
        what would an artist's sketch of this look like
        I'd love a hand-drawn line drawing
        could you make a pencil drawing of the clip
        like a sketch from an artist's notebook
    """),
    "cartoon": _list("""
        this should look like something from Cartoon Network
        bring the shot into an animated movie
        what would this look like as an anime
        I'd love it to be a Saturday morning cartoon
        could you make the people look like cartoon characters
        like a toon with flat colours
    """),
    "oil-painting": _list("""
        this should look as if painted by an old master
        brush everything onto canvas with thick oil paint
        what would a Monet of this look like
        I'd love it as a painting in oils
        could you paint the clip with heavy brush strokes
        like a canvas hanging in a museum
    """),
    "watercolour": _list("""
        this should look as if painted with water and pigment on paper
        brush everything on in pale watercolour washes
        what would an aquarelle of this look like
        I'd love it as a picture in watercolours
        could you paint the clip in watercolour
        like a watercolour from a travel sketchbook
    """),
    "pixel-art": _list("""
        this should look like an arcade game from the eighties
        break everything up into big square pixels
        what would this look like in Minecraft
        I'd love it in 8-bit graphics
        could you pixelate the clip
        like a low-res game for the Game Boy
    """),
    "film-noir": _list("""
        this should look like a detective thriller from the forties
        deep black shadows and harsh whites, like in a noir
        what would this look like in a film noir
        I'd love it as a hard-boiled crime movie in black and white
        could you light the clip like a Hitchcock noir
        like a private eye film with stark contrast
    """),
    "old-film": _list("""
        this should look like it was shot in the days of silent cinema
        make everything grainy and aged, like a worn reel
        what would this look like in a Charlie Chaplin movie
        I'd love it as an old home movie
        could you make the clip look like archive film
        like footage from a very old projector
    """),
    "comic": _list("""
        this should look like a page from a Marvel comic
        ink everything with bold outlines and printed dots
        what would this look like in a graphic novel
        I'd love it as a pop art print
        could you draw the clip as a comic strip
        like a panel of a superhero comic book
    """),
    "recolour": _list("""
        could the {object} be {colour} instead
        I'd prefer a {colour} colour on the {object}
        let's have the {object} in {colour}
        the {object} ought to look {colour}
        put some {colour} paint on the {object}
        switch the colour of the {object} over to {colour}
    """),
    "remove": _list("""
        could the {object} go away
        I'd prefer it without the {object}
        let's lose the {object}
        the {object} ought to be gone
        wipe the {object} from the scene
        please leave out the {object}
    """),
    "replace": _list("""
        could there be a {shape} instead of the {object}
        I'd prefer a {shape} where the {object} is now
        let's have the {object} replaced by a {shape}
        the {object} ought to look like a {shape}
        take the {object} out and put a {shape} there
        switch the {object} over to a {shape}
    """),
}

#: Instructions that no operation answers, for choosing the threshold of the warning.
NONSENSE_TUNE: tuple[str, ...] = _list("""
    make the dog dance
    add a hat to the man
    asdf qwerty
    translate this to french
    what's the weather tomorrow
    turn the car into a dragon
    make the woman smile
    replace the background with a beach
    zoom in on the face
    slow the video down
    add subtitles
    put sunglasses on the cat
    lorem ipsum dolor sit amet
    who won the world cup
    make him look twenty years older
    rotate the clip by ninety degrees
    count the people in the background
    change her dress to a wedding gown
    write a poem about spring
    cut out the first ten seconds
    give the horse wings
    xkcd blorp zing
    add a second moon in the sky
    make the boy fly
    loop it forever
    replace the apple with a banana
    play some jazz music
    swap their faces
    how do I cook rice
    stabilise the shaky camera
    make the building taller
    1234567890
    sudo rm everything
    book a flight to Lisbon
""")
NONSENSE_TEST: tuple[str, ...] = _list("""
    make the cat jump over the fence
    put a crown on the queen
    hjkl zxcvb
    what is the capital of Peru
    turn the bicycle into a motorcycle
    make the baby cry
    add a crowd of zombies
    reverse the playback
    let the man wear a tuxedo
    speed it up twice
    print the logo on a coffee mug
    tell me a joke
    turn the bird into a robot
    crop it to a square
    add an explosion behind the truck
    make her hair longer
    turn the volume of the audio up
    give the elephant a trumpet
    foo bar baz
    order a pizza with mushrooms
    move the camera to the left
    change the cup into a teapot
    set the table on fire
    solve x squared plus two
    make the tree walk away
    merge these two videos
    wake me up at seven
    open the window behind him
    fnord glibber wump
    add a caption with the date
""")

# Verbs that an instruction starts with, so that "please" or "could you" can stand before it.
_IMPERATIVES = frozenset(
    " ".join(
        _list("""
            add adjust age amplify animate animefy apply bathe bend blanket bleach bleed block boost break
            brighten bring brush build bump bury call cancel capture cartoonify cartoonise change chill choose
            chop cloak colour comicify convert cool copy correct cover crank create crush cut darken
            decolourise decrease deepen delete depict desaturate dim dip discard dive divide do doodle drain
            draw drench drop drown dull dunk duplicate dust dye edit eliminate end enhance enrich erase
            exchange expose fade fake fill film fix flatten flip flood fog freeze fully generate get give go
            hang have heat hide illuminate imagine imitate immerse include increase ink insert intensify
            introduce invert keep kill lay lean leave let lift light lighten liven look lose lower make max
            mimic minecraftify mix modify mosaic move mute negate noirify open outline overexpose overlay
            paint pass pencil perform pick pixelate pixelise pixellate place play plunge pour present preserve
            print produce project pull pump push put raise recolour record recreate redo redraw reduce
            reimagine relight remake remove render repaint replace reproduce reshape restyle return reverse
            rework roll saturate scribble send set shade shift shine shoot show shroud simulate sink sketch
            skip slap smear smother soak soften spray sprinkle stage stain start step stop strengthen strip
            style stylise subdue submerge substitute subtract summon surround swap switch take throw tilt
            tinge tint tone toon toonify trace transform transport turn underexpose use veil view warm wash
            watch watercolour weaken wet wipe wrap
        """)
    ).split()
)

_VIDEO = (
    "video",
    "clip",
    "footage",
    "scene",
    "shot",
    "movie",
    "film",
    "picture",
    "image",
    "recording",
    "sequence",
    "whole thing",
)
_THIS = ("it", "it", "it", "it", "this", "this", "everything", "that")
_PICTURE = ("scene", "picture", "image", "video", "shot", "clip", "photo", "view", "frame", "world")

_ADJECTIVE = _list("""
    make {it} {w}
    make {it} {w}
    make {it} {w}
    make {it} look {w}
    turn {it} {w}
    turn {it} into a {w} one
    give {it} a {w} look
    give {it} a {w} feel
    give me a {w} version
    a {w} version of {it}
    {w} version
    i want {it} {w}
    i want {it} to be {w}
    i want {it} to look {w}
    i'd like {it} to be {w}
    {it} should be {w}
    {it} should look {w}
    {it} needs to be {w}
    let {it} be {w}
    let {it} look {w}
    get {it} {w}
    render {it} {w}
    set {it} to {w}
    change {it} to {w}
    change {it} to something {w}
    edit {it} to look {w}
    {w}
    {w} look
    {w} style
    something {w}
    have {it} look {w}
    can {it} be {w}
    can {it} look {w}
    what if {it} was {w}
    imagine {it} {w}
    show {it} as if {it} was {w}
    try to make {it} {w}
    let's make {it} {w}
    how about making {it} {w}
    transform {it} so it looks {w}
    go for a {w} look
    apply a {w} effect
    put a {w} effect on {it}
    add a {w} look
    i need {it} {w}
    more {w}
    i prefer {it} {w}
    a {w} {p}
    make {it} a {w} {p}
    turn {it} into a {w} {p}
    i want a {w} {p}
    show me a {w} {p}
""")
_THING = _list("""
    add {w}
    add {w}
    add {w} to {it}
    add {w} over {it}
    give {it} {w}
    give {it} {w}
    apply {w}
    apply {w} to {it}
    put {w} on {it}
    put in {w}
    put {w} into {it}
    put {w} over {it}
    i want {w}
    i'd like {w}
    with {w}
    {it} with {w}
    {w}
    {w}
    {it} needs {w}
    let there be {w}
    use {w}
    include {w}
    insert {w}
    there should be {w}
    show {it} with {w}
    make {it} have {w}
    make {it} with {w}
    bring in {w}
    throw in {w}
    overlay {w}
    can {it} have {w}
    how about {w}
    render {it} with {w}
    i need {w} in {it}
    i want to see {w}
    let's have {w}
    create {w}
    {it} could use {w}
    let {it} have {w}
    change {it} to have {w}
    edit in {w}
    lay {w} over {it}
    introduce {w}
    set {it} up with {w}
""")
_KIND = _list("""
    turn {it} into {w}
    turn {it} into {w}
    turn {it} into {w}
    make {it} {w}
    make {it} into {w}
    make {it} look like {w}
    make {it} look like {w}
    make {it} resemble {w}
    convert {it} to {w}
    convert {it} into {w}
    transform {it} into {w}
    transform {it} to {w}
    change {it} to {w}
    change {it} into {w}
    render {it} as {w}
    show {it} as {w}
    i want {it} to be {w}
    i want {it} to look like {w}
    i'd like {it} to look like {w}
    i want {w}
    give me {w}
    {it} as {w}
    like {w}
    as {w}
    {w}
    {w}
    let {it} look like {w}
    {it} should look like {w}
    {it} should be {w}
    redo {it} as {w}
    reimagine {it} as {w}
    imagine {it} as {w}
    what if {it} was {w}
    style {it} like {w}
    edit {it} to look like {w}
    create {w} from {it}
    create {w} out of {it}
    make {w} of {it}
    make {w} out of {it}
    let {it} become {w}
    can {it} become {w}
    i need {it} as {w}
    have {it} look like {w}
    make {it} feel like {w}
    get me {w}
    recreate {it} as {w}
    go for {w}
    depict {it} as {w}
    give {it} the look of {w}
    give {it} the feel of {w}
    in the style of {w}
    how would {it} look as {w}
    switch {it} to {w}
    this could be {w}
""")
_CLAUSE = _list("""
    as if {w}
    as though {w}
    like {w}
    make {it} look as if {w}
    make {it} look like {w}
    make {it} look as though {w}
    make {it} seem like {w}
    make {it} appear as if {w}
    show {it} as if {w}
    render {it} as if {w}
    i want {it} to look as if {w}
    i want {it} to look like {w}
    {it} should look as if {w}
    {it} should look like {w}
    {it} as if {w}
    edit {it} so that it looks like {w}
    change {it} so it looks as if {w}
    pretend {w}
    imagine {w}
    imagine that {w}
    what if {w}
    let {it} look as if {w}
    give {it} a look as if {w}
    have {it} look like {w}
    turn {it} into something that looks like {w}
    transform {it} as if {w}
    how would {it} look if {w}
    what would {it} look like if {w}
    show me {it} as if {w}
    give me the feeling that {w}
""")
_WHERE = _list("""
    {w}
    {w}
    {it} {w}
    the same {v} {w}
    the same {v} but {w}
    show {it} {w}
    put {it} {w}
    set {it} {w}
    make {it} {w}
    make {it} look like it is {w}
    make {it} look like it was made {w}
    i want {it} {w}
    i want to see {it} {w}
    i'd like {it} {w}
    render {it} {w}
    redo {it} {w}
    recreate {it} {w}
    give me {it} {w}
    let {it} be {w}
    {it} should be {w}
    imagine {it} {w}
    how would {it} look {w}
    what would {it} look like {w}
    as it would look {w}
    place {it} {w}
    let me see {it} {w}
    present {it} {w}
    do {it} {w}
    turn {it} into the same thing {w}
    can i have {it} {w}
    show me {it} {w}
    reimagine {it} {w}
    have {it} {w}
""")
_HOW_MUCH = ("very", "really", "super", "quite", "completely", "totally", "a bit", "slightly", "somewhat")
_PRAISE = (
    "classic",
    "nice",
    "proper",
    "real",
    "good",
    "beautiful",
    "true",
    "typical",
    "lovely",
    "great",
    "decent",
    "simple",
)
_KEY = (
    "{w}",
    "{w}",
    "{w}",
    "{w} please",
    "{w} effect",
    "{w} look",
    "{w} style",
    "{w}!",
    "effect: {w}",
    "{w} filter",
    "{w} mode",
    "just {w}",
    "more {w}",
    "style: {w}",
    "apply: {w}",
    "{w}, thanks",
    "some {w}",
    "{w} version",
    "{w} for {it}",
)
_ORDER = (
    "{w}",
    "{w}",
    "{w}",
    "{w}",
    "i want you to {w}",
    "your task: {w}",
    "try to {w}",
    "let's {w}",
    "just {w}",
    "go and {w}",
    "now {w}",
    "i would like to {w}",
    "i'd like you to {w}",
    "help me {w}",
    "first, {w}",
)
_PREDICATE = tuple(frame for frame in _ADJECTIVE if not re.search(r"\ban? \{w\}|^\{w\} |something", frame))
_REMOVE_MORE = _list("""
    remove the {object} from {it}
    erase the {object} from {it}
    drop the {object}
    the {object} must go
    the {object} should disappear
    kill the {object}
    no {object} please
    without the {object}
    make {it} without the {object}
    i do not want to see the {object}
    {it} should not have the {object}
    eliminate the {object}
    clear away the {object}
    fill in the background where the {object} is
    paint over the {object}
    the {object} is annoying, remove it
    discard the {object}
    scrub the {object} out
    make the {object} invisible
    {object} away
""")
_RECOLOUR_MORE = _list("""
    make the {object} {colour} in {it}
    the {object} in {colour}
    a {colour} colour for the {object}
    switch the {object} to {colour}
    {colour} {object}
    the {object} must be {colour}
    can the {object} be {colour}
    i want the {object} in {colour}
    tint the {object} {colour}
    make the colour of the {object} {colour}
    give the {object} {colour} paint
    convert the {object} to {colour}
    render the {object} in {colour}
    have the {object} {colour}
    modify the {object} so it is {colour}
    turn the colour of the {object} to {colour}
    change the {object} from its colour to {colour}
    fill the {object} with {colour}
    spray the {object} {colour}
    let the {object} turn {colour}
""")
_REPLACE_MORE = _list("""
    replace the {object} by a {shape}
    substitute a {shape} for the {object}
    substitute the {object} with a {shape}
    convert the {object} into a {shape}
    convert the {object} to a {shape}
    change the shape of the {object} to a {shape}
    reshape the {object} into a {shape}
    a {shape} instead of the {object}
    instead of the {object} show a {shape}
    make a {shape} out of the {object}
    the {object} must be a {shape}
    can the {object} be a {shape}
    i want the {object} to be a {shape}
    render the {object} as a {shape}
    have a {shape} in place of the {object}
    remove the {object} and put a {shape} there
    switch the {object} with a {shape}
    modify the {object} so it is a {shape}
    the {object} turns into a {shape}
    swap in a {shape} for the {object}
""")
_OBJECT_MORE = {"recolour": _RECOLOUR_MORE, "remove": _REMOVE_MORE, "replace": _REPLACE_MORE}

_BEFORE = _list("""
    please
    please
    please
    could you please
    could you
    can you
    can you please
    would you
    would you please
    will you
    i want you to
    i'd like you to
    i would like you to
    you should
    kindly
    try to
    let's
    hey,
    hi, please
    ok,
    now
    ok now
    next,
    go ahead and
    quickly
    just
    simply
    may i ask you to
    do me a favour and
    it would be great if you could
    i need you to
    i'd love you to
    vedit,
    edit:
    task:
    instruction:
""")
_AFTER = _list("""
    please
    please
    , please
    please!
    thanks
    , thanks
    , thank you
    !
    .
    now
    for me
    if you can
    , would you
    but keep everything else the same
    and keep everything else as it is
    without changing anything else
    but leave the rest
    but keep the motion
    and keep the people
    while keeping the content
    and nothing else
    but don't change the shapes
    from start to end
    for the whole video
    in every frame
    throughout the clip
    in all frames
    for my friends
    for a project
    , it will look great
    , i think that fits
    and make it look good
    as realistic as possible
    , as well as you can
    this time
    somehow
    , ok?
    thx
    pls
    in this video
    in this clip
    of course
    from now on
    , the result should be smooth
""")
_CONTEXT = _list("""
    this is my holiday video.
    i filmed this yesterday.
    here is my clip.
    for the party:
    this is too boring,
    it looks boring.
    i don't like how it looks,
    nice shot, but
    for the second version
    here's a video of my dog.
    we need this for the intro:
    same video, but
    good, and now
    let's try something:
    i have an idea:
    a car drives by.
    there is a man in it.
""")

_AMERICAN = (
    ("watercolour", "watercolor"),
    ("colour", "color"),
    ("grey", "gray"),
    ("pixelise", "pixelize"),
    ("cartoonise", "cartoonize"),
    ("cosier", "cozier"),
    ("cosy", "cozy"),
    ("favour", "favor"),
    ("mould", "mold"),
)


def _normal(text: str) -> str:
    """What makes two instructions the same: letters and digits only, British spelling."""
    text = text.lower()
    for british, american in _AMERICAN:
        text = text.replace(american, british)
    return " ".join(re.findall(r"[a-z0-9{}&]+", text.replace("'", "")))


_HELD_OUT = {name: tuple(frozenset(_normal(text).split()) for text in texts) for name, texts in TEST.items()}


def held_out(name: str, text: str) -> bool:
    """Whether a sentence is one of ``TEST`` or shares three quarters of its words with one: too close to train on."""
    words = frozenset(_normal(text).split())
    return any(len(words & kept) >= 0.75 * len(words | kept) for kept in _HELD_OUT[name])


_THE_VIDEO = re.compile(r"\bthe (?:whole |entire )?(?:video|clip|footage|film|picture|image|scene|shot|whole thing)\b")
_BESIDE = {  # keys that lie side by side
    key: row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for at, key in enumerate(row)
}


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _article(text: str) -> str:
    """Makes "a" and "an" agree with what follows."""
    text = re.sub(r"\b([Aa]) (?=(?:[aeio]|8|uns|unm|unt|unch|une|unal|und|ultra)(?!ne\b))", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[bcdfgj-np-tv-zBCDFGJ-NP-TV-Z](?!-ray|uc))(?!hour|8)", r"\1 ", text)


def _before_noun(adjective: str) -> bool:
    """Whether an adjective can stand before its noun ("a snowy scene"; but not "a like sunset scene")."""
    return not re.search(
        r"\b(like|in|with|of|as|by|to|all|out|on|just|less|identical|made|up|without|from)\b", adjective
    )


def _no_verb(order: str) -> bool:
    """Whether an order does without an imperative, so that "try to" cannot stand before it."""
    return order.split(" ")[0] not in _IMPERATIVES


def _choose(text: str, rng: np.random.Generator) -> str:
    """Takes one of the alternatives in each pair of brackets, the innermost first: "[add/put in] [snow/]"."""
    while "[" in text:
        text = re.sub(r"\[([^\[\]]*)\]", lambda found: _pick(rng, tuple(found[1].split("/"))), text)
    return " ".join(text.split()).replace(" ,", ",")


def _it(rng: np.random.Generator) -> str:
    """What the person calls the video."""
    u = rng.random()
    if u < 0.2:
        return draw_subject(rng)
    if u < 0.6:
        return _pick(rng, _THIS)
    video = _pick(rng, _VIDEO)
    if video == "whole thing":
        return "the whole thing"
    return f"{_pick(rng, ('the', 'the', 'the', 'this', 'this', 'my', 'that', 'the whole', 'the entire'))} {video}"


def _sentence(name: str, rng: np.random.Generator) -> str:
    """One bare sentence from the lexicon."""
    words = LEXICON[name]
    forms = (
        (words.adjectives, _ADJECTIVE, 3.0),
        (words.things, _THING, 2.6),
        (words.kinds, _KIND, 3.0),
        (words.clauses, _CLAUSE, 1.8),
        (words.wheres, _WHERE, 1.6),
        (words.orders, _ORDER, 2.4),
        (words.keys, _KEY, 1.8),
        (PATTERNS[name], _ORDER, 4.0),
        (COLLOQUIAL[name], ("{w}",), 5.0),
    )
    weights = [weight if vocabulary else 0.0 for vocabulary, _, weight in forms]
    choice = int(rng.choice(len(forms), p=[w / sum(weights) for w in weights]))
    vocabulary, frames, _ = forms[choice]
    word = _choose(_pick(rng, vocabulary), rng)
    if choice == 0 and not _before_noun(word):
        frames = _PREDICATE
    elif choice in (5, 7) and _no_verb(word):
        frames = ("{w}",)
    frame = _pick(rng, frames)
    text = frame.replace("{w}", word)
    if choice == 0 and rng.random() < 0.12:
        text = text.replace(word, f"{_pick(rng, _HOW_MUCH)} {word}", 1)
    elif choice in (1, 2, 4, 5, 7, 8) and rng.random() < 0.08:  # praise that tells nothing
        text = re.sub(r"\ba (?=[a-z])", f"a {_pick(rng, _PRAISE)} ", text, count=1)
    text = text.replace("{v}", _pick(rng, _VIDEO)).replace("{p}", _pick(rng, _PICTURE))
    while "{it}" in text:
        text = text.replace("{it}", _it(rng), 1)
    if rng.random() < 0.25:
        text = _THE_VIDEO.sub(lambda _: draw_subject(rng), text, count=1)
    return text


def _typo(text: str, rng: np.random.Generator) -> str:
    """One slip of the finger in one of the longer words."""
    words = text.split(" ")
    long = [k for k, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not long:
        return text
    k = long[int(rng.integers(len(long)))]
    word, at = words[k], int(rng.integers(1, len(words[k]) - 1))
    slips = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + _pick(rng, tuple(_BESIDE.get(word[at].lower(), word[at]))) + word[at + 1 :],
    )
    words[k] = _pick(rng, slips)
    return " ".join(words)


def _american(text: str) -> str:
    for british, american in _AMERICAN:
        text = text.replace(british, american).replace(british.capitalize(), american.capitalize())
    return text


def dress(text: str, imperative: bool, rng: np.random.Generator) -> str:
    """Polite words, context, spelling, capitals and full stops around a bare request."""
    if imperative and rng.random() < 0.28:
        text = f"{_pick(rng, _BEFORE)} {text}"
    if rng.random() < 0.20:
        after = _pick(rng, _AFTER)
        if "please" in text.lower() and "please" in after:
            after = ", thanks"
        text = text.rstrip(" .!") + ("" if after[0] in ",.!" else " ") + after
    elif rng.random() < 0.14:
        after = draw_after(rng)
        text = text.rstrip(" .!") + ("" if after[0] == "," else " ") + after
    u = rng.random()
    if u < 0.04:
        text = f"{_pick(rng, _CONTEXT)} {text}"
    elif u < 0.13:
        text = f"{draw_before(rng)} {text}"
    text = _article(text)
    if rng.random() < 0.5:
        text = _american(text)
    slips = rng.random()
    for _ in range((slips < 0.14) + (slips < 0.03)):
        text = _typo(text, rng)
    style = rng.random()
    if style < 0.30:
        text = text[0].upper() + text[1:]
        text = re.sub(r"\bi\b(?=[ '])", "I", text)
    elif style < 0.62:
        text = text.lower()
    elif style < 0.64:
        text = text.upper()
    if text[-1].isalnum():
        text += _pick(rng, ("", "", "", "", "", ".", ".", "!"))
    elif rng.random() < 0.2:
        text = text.rstrip(".!")
    if rng.random() < 0.1:
        text = text.replace("'", "").replace(",", "")
    return text


def _slots(text: str, rng: np.random.Generator, thing: str, colour: str, shape: str) -> str:
    if "{colour}" in text:
        text = text.replace(
            "{colour}", _pick(rng, COLOUR_WORDS.get(colour, (colour,))) if rng.random() < 0.4 else colour
        )
    if "{shape}" in text:
        text = text.replace("{shape}", _pick(rng, SHAPE_WORDS.get(shape, (shape,))) if rng.random() < 0.4 else shape)
    return text.replace("{object}", thing)


def draw_instruction(
    name: str, rng: np.random.Generator, *, thing: str = "object", colour: str = "red", shape: str = "ball"
) -> str:
    """One instruction for training, as somebody might type it.

    Args:
        name: an operation, or one of ``OBJECT_EDITS``.
        rng: decides everything; the same state gives the same sentence.
        thing: for object edits, what is edited, without article ("red ball").
        colour: for "recolour", its new colour.
        shape: for "replace", its new shape.

    Raises:
        KeyError: neither an operation nor an object edit.
    """
    while True:
        if name in OBJECT_EDITS:
            spoken = rng.random() < 0.35
            bare = (
                _choose(_pick(rng, COLLOQUIAL[name]), rng) if spoken else _pick(rng, TRAIN[name] + _OBJECT_MORE[name])
            )
            bare = bare.replace("{it}", _it(rng))
        elif rng.random() < 0.12:
            bare = _pick(rng, TRAIN[name])
        else:
            bare = _sentence(name, rng)
        if held_out(name, bare):
            continue
        text = _slots(bare, rng, thing, colour, shape)
        text = dress(text, text.split(" ")[0] in _IMPERATIVES, rng)
        if not held_out(name, text):
            return text


def fill(text: str, *, thing: str = "object", colour: str = "red", shape: str = "ball") -> str:
    """A hand-written phrasing with its slots filled in."""
    return _article(text.replace("{object}", thing).replace("{colour}", colour).replace("{shape}", shape))


def describe(name: str, rng: np.random.Generator, content: str | None = None) -> str:
    """A caption of a picture after the operation ``name``: "a pencil drawing of a red ball", "a red ball in the snow".

    ``content``: what the picture shows ("a red ball over grass"); without it the caption tells only how it looks ("a
    snowy scene").
    """
    words = LEXICON[name]
    adjectives = tuple(word for word in words.adjectives if _before_noun(word) and word[-2:] != "er")
    choice = rng.random()
    if content is None:
        if choice < 0.45 and adjectives:
            text = f"a {_pick(rng, adjectives)} {_pick(rng, _PICTURE)}"
        elif choice < 0.75 or not words.with_:
            text = _pick(rng, words.of)
        else:
            text = f"a {_pick(rng, _PICTURE)} {_pick(rng, words.with_)}"
    elif choice < 0.30:
        text = f"{_pick(rng, words.of)} of {content}"
    elif choice < 0.50:
        text = f"{_pick(rng, words.of)}: {content}"
    elif choice < 0.85 and words.with_:
        text = f"{content}{_pick(rng, (' ', ', '))}{_pick(rng, words.with_)}"
    elif adjectives:
        text = f"a {_pick(rng, adjectives)} {_pick(rng, _PICTURE)} of {content}"
    else:
        text = f"{content}, {_pick(rng, words.with_ or words.wheres)}"
    text = _article(text)
    return _american(text) if rng.random() < 0.5 else text
