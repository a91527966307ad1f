"""Longer requests, as people put them in talk: a complaint and what would mend it, trade words, hours, places, moods.

In the bracket notation of ``lexicon.PATTERNS``. What decides is often a single word, and a complaint names the opposite
of what is asked for ("too cold, warm it up"), so these teach to weigh words and not to count them.
"""

from __future__ import annotations

_IT = "[it/this/everything/the picture/the clip/the footage/the video/the scene/the shot/the whole thing/all of it/the image]"
_LOOKS = "[looks/seems/feels/is/comes across/appears/came out/turned out]"
_TOO = "[too/way too/far too/a bit too/so/very/rather/kind of/a little/much too/really/quite/awfully/terribly/somewhat]"
_DO = "[please/can you/could you/would you/i want you to/you should/try to/let's/so/just/kindly/i need you to/it would be nice to/we could/]"


def _mend(bad: str, fix: str, instead: str) -> tuple[str, ...]:
    """A complaint about ``bad``, then the order ``fix`` or the wish for ``instead``."""
    return (
        f"{_IT} {_LOOKS} {_TOO} {bad}, {_DO} {fix}",
        f"{_IT} {_LOOKS} {bad}, {_DO} {fix}",
        f"{_DO} {fix}, [it's/it is/because it's/since it is/as it is/it {_LOOKS}] {_TOO} {bad}",
        f"{fix} [it's/its/it is/cause it's/bc its] {_TOO} {bad}",
        f"[not/less/no longer/don't want it] {bad}, [but/rather/instead/more/make it] {instead}",
        f"{_IT} [should be/has to be/needs to be/ought to be/must be/could be] {instead} [and not/instead of/rather than/, not/not so] {bad}",
        f"[i find/i think/to me/for my taste/honestly] {_IT} {_LOOKS} {_TOO} {bad}, [make it/i want it/it should be/turn it/get it] {instead}",
        f"[the/this] [colours/light/lighting/grading/look/mood/exposure] {_LOOKS} {_TOO} {bad} [here/to me/today/for my taste/], {_DO} {fix}",
        f"[from/change it from/go from/take it from/turn it from] {bad} to {instead}",
        f"[why is it/why does it look] so {bad}? [please/] {fix}",
    )


def _tint(colour: str, stuff: str) -> tuple[str, ...]:
    """A tint by its name and by things that have its colour."""
    made = (
        f"[soak/dip/drown/drench/steep/bathe/wrap/cover/coat/paint/dye/stain/flood/wash] {_IT} in [{stuff}]",
        f"[put/lay/add/drop/throw/spread/use/want] [a/some] [{stuff}] [filter/wash/cast/haze/tint/overlay/glow/veil/layer/film/tone/gel] [on/over/across] {_IT}",
        f"[the/i want the/give it the/let it have the] [colour/hue/tone/tint] of [{stuff}]",
        f"[overlay/lay/put/place/use] [a solid/solid/a flat/a transparent/a thin/plain/a uniform] {colour} [over/across/on/on top of] {_IT}",
        f"[the whole frame/the entire image/every frame/each frame/every pixel/the complete picture] [in/should be/goes/turns/to] [{stuff}/{colour}]",
        f"[a/one big/a monochromatic/a single] {colour} [wash/veil/haze/cast/glaze/sheen/mist of colour] [over/across/on] {_IT}",
        f"[i'd like/i want/give me/put/add/have] a [{stuff}/{colour}] [cast/tint/tone/hue] [across/over/on/to] [the whole image/the full frame/the picture/everything]",
        f"[as if/like/as though] [i wore/i was wearing/you had/there were/one looked through] {colour} [sunglasses/glasses/goggles/cellophane/foil/plastic]",
        f"[{stuff}] [everywhere/all over/on everything/from edge to edge/as the only colour]",
        f"[tint/tone/colour/dye/grade/shade] {_IT} [{stuff}]",
        f"[hue/tint slider/colour balance/white balance/colour wheel] [all the way/fully/strongly/hard] [to/towards/into] {colour}",
    )
    return made


COLLOQUIAL: dict[str, tuple[str, ...]] = {
    "nothing": (
        f"{_IT} [is/looks/seems] [perfect/fine/good/great/beautiful/okay/lovely] [already/as it is/like this/the way it is/to me/], [don't/do not/no need to] [change it/touch it/edit it/do anything/alter it]",
        "[don't/dont/do not/please don't] [do/change/edit/touch/alter] [a thing/anything/anything to it/it at all/it in any way/one bit], [it's/its] [perfect/fine/good/great]",
        "[no/zero/without] [changes/edits/effects/filters/grading/corrections] [whatsoever/at all/this time/needed/for this one], [thanks/please/just the original]",
        "[export/render/output/save/keep/pass on] {it} [as is/unchanged/without any change/untouched/without an effect/just like the input]",
        "[i only want/i just need/all i want is/simply return/hand me back] the [same/original/input/identical/raw/source] [video/clip/file/footage] [again/back/as it was/]",
    ),
    "black-and-white": (
        *_mend("[colourful/coloured/bright in colour]", "[take the colour away/make it black and white/drop the colour/go greyscale/desaturate it completely]", "[black and white/grey/monochrome/colourless]"),
        "[zero/no/kill the/pull the/remove the/take out all] [saturation/chroma/colour/hue] [entirely/completely/to zero/down to nothing/please/]",
        "[shades/tones/nothing but shades/only shades] of [grey/gray/silver and black] [from here on/please/only/everywhere]",
        "[a classic/like a classic/the classic/a timeless/an elegant] [monochrome/black and white/b&w/greyscale] [photograph/print/picture/still/portrait]",
        "[let the colours/may the colours/the colours should/all hues should] [vanish/fade to grey/leave/be gone/drain away/disappear], [leaving only/so that only] [light and shadow/grey/black and white] [remains/remain/]",
    ),
    "sepia": (
        "[the/with the/in the/give it the] [brown/brownish/golden brown/tea-stained/coffee-coloured/yellowed] [tone/tint/look/hue] of [an old/a faded/grandma's/a victorian/an antique] [photograph/photo/postcard/picture/album/print]",
        "[as if/like/as though] [found in/it came from/taken from/it was out of] [an old album/grandmother's attic/a dusty drawer/a museum/the 1800s/the nineteenth century]",
        "[sepia/sepia tone/sepia toning] [on/at full strength/100 percent/for everything/across the board/at about eighty percent]",
        "[age/tone/colour/dye] {it} [like/in] [old paper/tea/coffee/parchment/brown ink/a vintage photograph]",
        "[brown and cream/brown tones/warm browns/chestnut tones] [only/instead of colours/all over/like an antique print]",
    ),
    "warmer": (
        *_mend("[cold/chilly/blue/cool/icy/frosty/bluish/wintry in tone/clinical]", "[warm it up/make it warmer/move it to the warm side/add warmth/push it towards warm/correct it in the warm direction/raise the temperature]", "[warmer/warm/cosier/more golden]"),
        "[raise/increase/push up/bump/shift] the [colour temperature/white balance/temperature slider/kelvin] [to the warm side/to warm/upwards/towards amber/a bit/a few hundred kelvin/]",
        "[nudge/bring/lead/take/tilt/steer/lean] {it} [to/towards/into] the warm [side/end/direction/range/tones]",
        "[a warmer/warm/toasty/snug/honeyed] [feel/look/feeling/mood/palette/grade/temperature/tonality], [like/as] [by a fireplace/next to a campfire/in candle light/a summer afternoon/a warm lamp]",
        "[let/may] [the warmth of a hearth/a gentle warmth/summer warmth/the heat of july] [enter/fill/flow into/spread over] {it}",
    ),
    "cooler": (
        *_mend("[warm/hot/orange/yellowish/toasty/reddish/golden/sunny in tone]", "[cool it down/make it cooler/move it to the cool side/push it towards cold/correct it in the cold direction/lower the temperature/take the warmth out]", "[cooler/cold/colder/icier/chillier/more bluish]"),
        "[lower/decrease/drop/reduce/shift] the [colour temperature/white balance/temperature slider/kelvin] [to the cool side/to cold/down/towards blue/a bit/]",
        "[nudge/bring/lead/take/tilt/steer/lean] {it} [to/towards/into] the [cool/cold/chilly] [side/end/direction/range/tones]",
        "[a cooler/cold/icy/clinical/nordic/steely/arctic] [feel/look/feeling/mood/palette/grade/temperature/tonality], [like/as] [in a hospital/on a winter morning/under neon tubes/in a fridge/in the shade]",
        "[let/may] [a chill/the cold/an icy breath/the north wind] [enter/fill/creep into/spread over] {it}",
    ),
    "faded": (
        *_mend("[contrasty/punchy/strong/harsh/saturated/intense/crisp/vivid/bold]", "[fade it/wash it out/lower the contrast/flatten it/mute it/lift the blacks/make it milky]", "[faded/washed out/flat/pale/softer/matte/muted/pastel]"),
        "[lift/raise/milk up/grey out] the [blacks/shadows/black level/black point] [and/plus/,] [lower/cut/reduce/flatten] the [contrast/saturation/highlights]",
        "[a flat/a log/an ungraded/a matte/a low-contrast/a bleached/a sun-bleached/a dusty pale] [look/profile/grade/finish/style/image]",
        "[as if/like/as though] [it was left in the sun/it hung in the window for years/the colours were tired/the print had lost its strength/it has been washed too often]",
        "[let/may] [the colours/every colour/all contrast] [pale/grow pale/wither/lose strength/tire/dissolve/grow weak]",
    ),
    "vivid": (
        *_mend("[dull/drab/flat/boring/pale/washed out/lifeless/faded/grey/lacklustre/muted/bland/tired/weak]", "[make the colours pop/boost the colours/add saturation/boost the colour intensity/liven it up/punch it up/bring the colours out/turn up the colours]", "[vivid/vibrant/saturated/colourful/richer/more intense/lively/punchy]"),
        "[push/crank/turn/bring/pump/take/drag] [saturation/vibrance/the saturation/the vibrance/saturation and vibrance/chroma] up [by/about/to/at least/] [forty percent/50 percent/30%/a third/a lot/the maximum/thirty/]",
        "[let/may/have] [every colour/each hue/all the colours/every hue/all hues/the colours] [sing/shout/glow/burn/explode/shine/scream/blaze/dance/burst/pop/dazzle]",
        "[colours/colour] [like/as in/as bright as] [candy/a carnival/a fruit stall/tropical fish/confetti/fireworks/a parrot/a flower market/an advertisement/bubblegum]",
        "[more/much more/way more/stronger/deeper/richer/bolder] [colour/colours/saturation/intensity/punch/colour contrast/pigment] [please/all over/in everything/thanks/]",
    ),
    "inverted": (
        "[like/as on/as if it were/as/show] [a film negative/a photo negative/the negative/negative film/an x-ray/a negative strip held to the light]",
        "[swap/flip/reverse/switch/exchange/mirror/turn around] [all/the/every] [colours/tones/light and dark/colours to their opposites/hues/values/black and white]",
        "[light/white/bright] [becomes/should become/turns into/gets] [dark/black] and [dark/black] [becomes/turns/gets] [light/white/bright]",
        "[each/every] [colour/hue/pixel/tone] [becomes/turns into/should be/replaced by] its [opposite/complement/contrary/complementary colour/inverse]",
        "[invert/negate/reverse] the [rgb/luma/colour/tonal/pixel] [values/curve/channels/scale]",
    ),
    "brighter": (
        *_mend("[dark/dim/gloomy/underexposed/murky/shadowy/black]", "[brighten it/turn the brightness up/add light/raise the exposure/lighten it/make it brighter/give it more light/turn the brightness up]", "[brighter/lighter/bright/better lit/well lit]"),
        "[raise/increase/lift/open up/push/bring up/up] [exposure/the exposure/brightness/the gain/the gamma/the levels] [by/about/] [a stop/one stop/two stops/half a stop/a full stop/20 percent/a notch/a lot/]",
        "[let/allow/have] [more light/more sun/lots of light/light] [in/pour into/flood/come into/stream into/shine on/reach/fill] [every frame/the scene/it/the picture/every corner/the room]",
        "[turn/switch/put] [the lights/a light/all lamps/the lamp] on [in/for/over] [there/it/the scene], [i/we/you/one] [can't/can hardly/cannot] see [anything/a thing/much]",
        "[open/widen] the [aperture/iris/curtains/blinds] [a bit/fully/wide/]",
    ),
    "darker": (
        *_mend("[bright/light/overexposed/glaring/blown out/dazzling/blinding/washed with light]", "[darken it/turn the brightness down/take light away/lower the exposure/dim it/make it darker/pull the exposure down/tone it down]", "[darker/dimmer/dark/less bright/more shadowy]"),
        "[drop/lower/decrease/reduce/pull down/close down/bring down] [exposure/the exposure/brightness/the gain/the gamma/gamma/the levels] [by/about/] [a stop/one stop/two stops/half a stop/a full stop/20 percent/a notch/a lot/]",
        "[let/allow/have] [shadows/the dark/gloom/darkness/less light] [fall over/cover/fill/creep over/reach/settle on] [every frame/the scene/it/the picture/every corner/the room]",
        "[dim/turn down/lower/take down] [the lights/the lamps/all lights/the lighting] [in the scene/in there/a bit/a lot/]",
        "[close/narrow] the [aperture/iris/curtains/blinds] [a bit/fully/]",
    ),
    "night": (
        "[make it look like/it should be/set it at/show it at/place it at/as if it was/like] [midnight/1am/2am/3 am/eleven at night/the dead of night/ten pm/two in the morning/late at night/half past midnight/the middle of the night]",
        "[change/turn/swap/convert] [day/daytime/the day/daylight/noon] [to/into/for] [night/nighttime/night time/midnight/darkness]",
        "[day for night/day to night/day-for-night], please",
        "[let/may] [the moon/moonlight/the stars/darkness/night] [rule/own/light/fall over/take over/govern/watch over] {it} [and the sun/with the sun/while the sun] [be gone/set/sleep/asleep/far away/]",
        "[the sun has/the sun is/sun] [gone down/gone/set/down long ago/asleep], [only/just/nothing but] [moonlight/stars/the moon/blue darkness] [is left/remains/please/]",
        "[filmed/shot/taken/recorded/seen] [by/under/in] [moonlight/the moon/a starry sky/the night sky/the light of the moon/pitch dark]",
        "[it's/make it] [bedtime/night/dark outside/past midnight/the witching hour/after hours]",
    ),
    "sunset": (
        "[make it look like/it should be/set it at/show it at/place it at/as if it was/like] [golden hour/the golden hour/sundown/dusk/six in the evening/late afternoon/the last light/8pm in july/evening sun/the hour before dark]",
        "[let/may] [the setting sun/the evening sun/the last sun/a low sun/the evening glow/an orange sun] [glow over/warm/gild/set fire to/burn over/kiss/bathe] {it}",
        "[the sun/sun] [is going down/goes down/is setting/sinks/dips] [behind/over/at the end of] {it}, [all orange/with an orange glow/everything glows/golden]",
        "[a/with a/give it a/add a] [fiery/glowing/burning/romantic/blazing/orange/golden] [evening/sundown/dusk/evening sky/sunset] [light/glow/mood/atmosphere/sky/]",
        "[filmed/shot/taken/seen] at [dusk/sunset/sundown/golden hour/the end of the day/day's end]",
    ),
    "dawn": (
        "[make it look like/it should be/set it at/show it at/place it at/as if it was/like] [4am/5am/6 am/five in the morning/daybreak/day break/sunrise/first light/early morning/dawn/the crack of dawn/cockcrow/the break of day/six in the morning]",
        "[a/with a/give it a/under a] [pale/soft/tender/gentle/rosy/pinkish/pale pink/pale rosy/delicate] [morning/dawn/early/daybreak/sunrise/dawning] [sky/light/glow/haze/mood/blush/air]",
        "[let/may] [the morning/dawn/a new day/the first light/the early light/the rosy morning] [break/rise over/wake/blush over/touch/arrive in/dawn over] {it}",
        "[the first/the earliest/an early] [blush/light/rays/glow/gleam/hint/minutes] of [morning/day/dawn/daybreak/the day/sunrise], [before anyone wakes/while the world sleeps/when all is quiet/pale and pink/]",
        "[before/just before/right before/long before] [breakfast/the world awakes/anyone is up/the sun is fully up/the city wakes/the alarm rings], [in pale light/with a pinkish sky/pale and rosy/soft and pale]",
        "[when/as] [the sky/the horizon/the east/the light] [goes/turns/gets/is still/grows] [all pale pink/pale/rosy/pinkish/soft pink] [in the morning/at dawn/early/at daybreak]",
    ),
    "autumn": (
        "[let/may] [the leaves/the trees/the foliage/every leaf/the woods/the grass] [burn/turn/go/glow/blush/rust/change] [copper/russet/rust red/amber/golden/orange and brown/red and gold/copper and gold/bronze]",
        "[october/november/september/fall/autumn/harvest/thanksgiving/halloween/indian summer] [colours/vibes/mood/foliage/palette/leaves/look/feeling/time/tones] [please/for it/all over/]",
        "[make/turn/change/dye/paint] [the leaves/the green/all greens/the trees/the plants/the grass/the foliage] [orange/brown/rusty/golden brown/russet/copper/red and yellow/like in fall]",
        "[green/the green/all green] [becomes/to/into/should become/turns/turns into] [orange/rust/brown/gold/amber]",
        "[as if/like/as though] [the leaves were about to fall/it was october/summer was over/it was leaf season/before the first frost/the harvest was in/it was new england in fall]",
    ),
    "tint-red": _tint("red", "ruby/blood/tomato juice/crimson/scarlet/cherry/rose red/brick red/wine/ketchup/vermilion/garnet"),
    "tint-orange": _tint("orange", "tangerine/orange juice/apricot/pumpkin/carrot/amber orange/mandarin/the juice of oranges/marmalade/rust orange/coral orange"),
    "tint-yellow": _tint("yellow", "lemon/mustard/sunflower/canary/banana/honey yellow/butter/lemonade/saffron/gold yellow/custard"),
    "tint-green": _tint("green", "emerald/lime/mint/grass green/jade/forest green/olive/absinthe/matrix green/moss/pea soup"),
    "tint-blue": _tint("blue", "sapphire/cobalt/navy/ink/azure/ultramarine/indigo ink/royal blue/sky blue/cyanotype/denim/cerulean"),
    "tint-purple": _tint("purple", "amethyst/lavender/violet/plum/grape juice/lilac/aubergine/mauve/indigo violet/orchid/blackcurrant"),
    "tint-pink": _tint("pink", "rose/bubblegum/cotton candy/magenta pink/flamingo/salmon pink/blush/barbie pink/candy floss/strawberry milk/fuchsia"),
    "snow": (
        "[let/may] [snow/the snow/snowflakes/winter/a blizzard/flakes/the first snow] [fall on/cover/blanket/bury/hush/drift over/whiten/settle on] {it}",
        "[could/can/would] [you/we/it] [please/possibly/] [have/add/get/put/see/show/include] [some/falling/fresh/heavy/light/a bit of/] [snow/snowfall/snowflakes] [in/to/over/here/in the scene/]",
        "[i want/give me/make it/turn it into] [a white christmas/a winter wonderland/december/january in alaska/a ski resort/the north pole/a snow globe/siberia/a snow day/deep winter]",
        "[it's/it is/as if it was/like it was] [snowing/snowing hard/winter/the middle of winter/a snowy day/freezing and snowing/a blizzard] [out there/in the video/here/all around/]",
        "[white/thick/soft/fluffy/wet] [flakes/snowflakes/snow] [drifting/falling/coming/dancing/whirling/tumbling/floating] [down/from the sky/through the air/in the wind/slowly]",
    ),
    "rain": (
        "[let/may] [rain/the rain/a downpour/heavy rain/drops/the heavens/the clouds] [fall on/pour on/wash/weep over/soak/beat down on/open over/drench] {it}",
        "[could/can/would] [you/we/it] [please/possibly/] [have/add/get/put/see/show/include/bring] [some/falling/heavy/light/pouring/a bit of/] [rain/rainfall/raindrops/rain streaks/drizzle] [in/to/over/here/in the scene/to the scene/]",
        "[i want/give me/make it/turn it into] [a rainy day/a downpour/monsoon season/london weather/april showers/a thunderstorm/umbrella weather/a wet grey day/seattle/a cloudburst]",
        "[it's/it is/as if it was/like it was] [raining/pouring/raining cats and dogs/bucketing down/drizzling/wet and grey/a rainy afternoon] [out there/in the video/here/all around/]",
        "[grey/thick/thin/long/heavy] [drops/streaks of rain/rain/showers/sheets of rain] [running/falling/coming/pouring/pelting/lashing] [down/from the sky/through the air/in the wind/]",
    ),
    "fog": (
        "[let/may] [fog/the fog/mist/a thick mist/haze/a white veil/clouds] [roll in over/swallow/wrap/hide/creep into/drift over/cover/settle on/blur] {it}",
        "[could/can/would] [you/we/it] [please/possibly/] [have/add/get/put/see/show/include] [some/thick/dense/light/morning/a bit of/] [fog/mist/haze/smog/brume] [in/to/over/here/in the scene/]",
        "[i want/give me/make it/turn it into] [a foggy morning/pea soup/san francisco in fog/silent hill/a misty moor/zero visibility/a hazy day/autumn fog/a whiteout of mist]",
        "[you/one/we] [can barely/can hardly/cannot/can scarcely/shouldn't] see [your hand/a hand/the end of the road/ten metres/anything/far/the background] [through/in/for/because of] [the mist/the fog/fog/haze]",
        "[low/poor/bad/reduced] visibility [from/because of/due to/, ] [fog/mist/haze/foggy weather]",
    ),
    "underwater": (
        "[let/may] [the sea/the ocean/water/waves/the deep/the lake] [swallow/cover/flood/close over/drown/take/fill] {it}",
        "[as if/like/as though] [we were diving/i was snorkelling/it was filmed by a diver/it was at the bottom of the sea/it sank/it took place in an aquarium/it was shot with a gopro in the pool/we were fish/it was in atlantis]",
        "[sink/submerge/drown/dive/plunge/immerse/flood] {it} [in the ocean/in deep water/into the sea/under the surface/in a lake/in a pool/below the waves/]",
        "[deep/blue green/turquoise/clear/murky] [sea/ocean/water/lagoon/pool] [all around/everywhere/over everything/look/world/light/with caustics]",
        "[below/beneath/under] [the sea/the waves/the surface/sea level/the water/the ocean/the waterline], [like a submarine/with rippling light/please/all wet/]",
    ),
    "pencil-sketch": (
        "[as if/like/as though] [drawn by hand/someone drew it in a notebook/an artist sketched it/it was scribbled with a pencil/it were a page of a sketchbook/drawn with an hb pencil/done in graphite/drawn in charcoal]",
        "[let/may] [graphite lines/a pencil/pencil strokes/fine lines/thin grey lines] [trace/draw/outline/sketch/render/tell] {it} [on white paper/on paper/in a sketchbook/]",
        "[only/just/nothing but/simple] [lines/pencil lines/outlines/contours/strokes] on [white/paper/white paper/a blank page]",
        "[redraw/draw/sketch/trace/doodle/scribble] {it} [by hand/with a pencil/in graphite/in pencil/on paper/like an architect/as line art/with pencils]",
        "[hand drawn/hand-drawn/graphite/line art/drawing/sketchbook/linework] [look/style/version/effect/animation/rendering] [like that a-ha video/please/on white/]",
    ),
    "cartoon": (
        "[as if/like/as though] [it was on a kids' channel/it was saturday morning tv/it came from disney/it was animated/drawn for children/it was from the simpsons/it was cel animation/it was a cel-shaded game]",
        "[flat/simple/plain] [colours/fills/areas/colour areas] [and/with/plus] [dark/black/thick/bold/clean] [outlines/lines/contours/edges] [like a cartoon/please/as in animation/]",
        "[cartoonify/toonify/animate/toon/cel shade/cel-shade] {it} [please/for the kids/a bit/fully/]",
        "[let/may/have] {it} [become/turn into/be] [an animated show/a kids cartoon/a toon/a childrens film/animation/an anime scene/a disney scene]",
        "[toon/cel/animation/animated/anime/cartoonish] [shading/look/shader/style/series/picture/feel] [please/for all frames/on everything/]",
    ),
    "oil-painting": (
        "[as if/like/as though] [painted by rembrandt/van gogh painted it/it hung in a museum/done with thick oil/painted with a palette knife/it was on canvas/monet had painted it/an old master did it/painted in oils]",
        "[let/may] [thick strokes/heavy brushstrokes/thick paint/oil colours/impasto/swirling strokes/rich oils/brush and canvas] [of oil/of paint/] [form/carry/paint/build/tell/shape/make up] {it}",
        "[oil/oils/impasto/thick paint/oil paint/oil colour] on [canvas/linen/wood/a canvas]",
        "[paint/repaint/render/redo] {it} [in oils/with oil paint/with thick brush strokes/on canvas/in impasto/like a renaissance master/like an impressionist/with a broad brush]",
        "[painterly/impasto/museum/gallery/old master/impressionist/baroque] [look/canvas/style/piece/painting/brushwork/strokes] [in oil/please/of it/]",
    ),
    "watercolour": (
        "[as if/like/as though] [painted with a wet brush/it was painted with watercolours/the colours bled on wet paper/it was an aquarelle/it was from a children's picture book/painted with a child's paint box/washed with thin paint]",
        "[let/may] [thin washes/washes of colour/wet colours/soft washes/watery paint/pigment and water] [flow over/bleed into/run over/paint/form/dissolve] {it} [on paper/]",
        "[watercolour/aquarelle/gouache/wet paint/thin washes] on [rough paper/paper/wet paper/cold pressed paper/white paper]",
        "[paint/repaint/render/wash] {it} [in watercolours/with watercolour/with wet washes/like an aquarelle/with a soft wet brush/in thin transparent paint]",
        "[soft/translucent/wet-on-wet/bleeding/delicate/loose] [washes/watercolour/aquarelle/water colours] [look/style/please/of it/]",
    ),
    "pixel-art": (
        "[as if/like/as though] [it was a snes game/it was on the nes/it ran on a game boy/it was an 8-bit game/it came from an arcade machine/it was made of big pixels/it was built of blocks/it was minecraft/it was from 1988]",
        "[chunky/big/large/huge/blocky/square] [pixels/blocks/squares/pixel blocks] [like an old game/everywhere/please/retro style/]",
        "[8 bit/8-bit/16-bit/sixteen bit/eight bit/retro game/low-res/lo-fi/sprite] [graphics/look/style/version/sprites/game/effect] [please/for it/like nintendo/]",
        "[pixelate/pixelise/downsample/blockify/mosaic/quantise] {it} [into big squares/to chunky blocks/like a retro console/strongly/]",
        "[let/may/have] {it} [break into/become/dissolve into/be built from/turn into] [pixels/blocks/little squares/a mosaic of squares/sprites/tiles]",
    ),
    "film-noir": (
        "[as if/like/as though] [a detective narrated it/it was a hitchcock film/bogart was in it/it was 1945 and raining in the city/it was shot with one hard light/it was a gangster picture/the maltese falcon]",
        "[deep/hard/inky/harsh/crushed] [shadows/blacks/black shadows] [and/with/plus] [stark/hard/bright/harsh/white] [highlights/whites/light/contrast], [in black and white/noir/like the forties/monochrome]",
        "[noir/film noir/neo-noir/gangster/detective/private eye/hard-boiled] [lighting/mood/shadows/atmosphere/grade/picture/thriller] [please/for this/with venetian blinds/]",
        "[high/strong/extreme/brutal/maximum] contrast [black and white/monochrome/b&w/noir] [with/and] [deep shadows/crushed blacks/grain/hard light]",
        "[let/may] [shadows/darkness and smoke/a private eye/hard light/mystery] [haunt/own/rule/fill/carve] {it} [in black and white/like an old thriller/in stark contrast]",
    ),
    "old-film": (
        "[as if/like/as though] [chaplin was in it/it was shot in 1920/it came off a dusty reel/the projector was flickering/it was silent cinema/it was found footage from 1915/it was an antique reel/shot by the lumiere brothers/it was super 8 from the attic]",
        "[scratchy/grainy/flickering/worn/damaged/dusty/aged/jittery] [film/reel/celluloid/movie/8mm/16mm/super 8/stock] [look/feel/effect/footage/from the twenties/]",
        "[add/put/give it/with/overlay] [film grain/grain/dust/old film grain/projector flicker/film damage] [and/plus/with] [faded brown tones/age/dust/wear/an old film look/scratches]",
        "[the/like the/from the] [silent era/roaring twenties/early days of cinema/nickelodeon days/silent movies/dawn of cinema] [look/style/please/feeling/]",
        "[age/distress/wear out/antique/weather] the [film/footage/reel/clip/print] [like/as] [an old movie/a silent film/vintage celluloid/a worn print/a century-old reel]",
    ),
    "comic": (
        "[as if/like/as though] [it was a marvel page/it was drawn for a comic book/lichtenstein made it/it was printed with dots/it was a panel in a graphic novel/it was pop art/from a superhero magazine/spider-verse]",
        "[halftone/ben day/printed/newsprint/pop art/raster] [dots/dot pattern/screen/print/raster] [and/with/plus] [ink/bold ink lines/black outlines/flat strong colours/thick lines]",
        "[comic/comic book/comics/graphic novel/superhero/manga-like/pop art] [panel/page/print/ink/look/filter/treatment] [with dots/please/for every frame/]",
        "[ink/print/redraw/letter/turn] {it} [as a comic/like a comic panel/with halftone dots/in ink and dots/as pop art/like a graphic novel]",
        "[let/may/have] {it} [leap off/jump from/live on/become] [a comic page/the pages of a comic book/a graphic novel/a superhero page/a pop art print]",
    ),
    "recolour": (
        "[i want/make/let/i wish/see to it] [that/] the {object} [becomes/turns/is/should be/gets] {colour} [and not/instead of/, no longer/rather than] [the old colour/what it is now/its colour/that colour] [anymore/]",
        "[give/grant/lend] the {object} [a {colour} colour/a {colour} coat/a coat of {colour} paint/a {colour} skin/{colour} as its new colour]",
        "the {object} [looks better in/would be nicer in/should wear/needs to be/has to go] {colour}",
        "[swap/change/switch/replace] the colour of the {object} [to/for/with/into] {colour} [please/, not its shape/and nothing else/]",
        "[dip/paint/spray/dye/colour/fill] the {object} [in/with/] {colour} [paint/]",
    ),
    "remove": (
        "[please/] [make/see to it/ensure/i want] that the {object} [is not there anymore/is gone/disappears/isn't visible/no longer exists/vanishes/has never been there]",
        "[i don't/we don't/nobody wants to] [want/need/like] [to see/] the {object} [anymore/any longer/in there/in the shot/at all]",
        "[the same/this/show it/keep it/everything] [but/only/just] without the {object}",
        "[let/have/make] the {object} [vanish/disappear/go away/evaporate/melt into the background/be gone]",
        "[paint out/clone out/rub out/mask out/key out/take away/wipe out/lift out] the {object} [completely/for good/from every frame/]",
    ),
    "replace": (
        "[let/have/make] the {object} [become/turn into/change into/morph into/transform into/be] a {shape} [as it moves/as it travels/instead/all the way/from the start/]",
        "[where/in the place where/wherever] the {object} is [there should be/i want/put/show] a {shape}",
        "[a {shape}/i want a {shape}/use a {shape}/give me a {shape}] [instead of/rather than/in place of/not] the {object}",
        "the {object} [should have/has to have/gets/needs/should take] the [shape/form/outline] of a {shape}",
        "[trade/exchange/swap/switch/substitute] the {object} [for/with/against] a {shape} [please/in all frames/]",
    ),
}  # fmt: skip


def _missing(noun: str) -> tuple[str, ...]:
    """What was not there on the day, and is wanted."""
    return (
        f"[there was no/we had no/no/we got no/there wasn't any/it had no] [{noun}] [that day/on our trip/when i filmed/that week/there/], [so/can you/please/could you/but/] [fake it/add it/add some/put it in/give me some/let it come]",
        f"[the story/the script/this scene/the mood/my film/the shot] [needs/calls for/wants/asks for/is missing/is set in] [{noun}]",
        f"[the sky/the weather/the air/it/the day] was [dry/clear/fine/plain/boring/mild/sunny], [but i need/so add/now with/but it should have/the script says/yet we want] [{noun}]",
        f"[fake/simulate/pretend/invent/conjure/generate] [some/a bit of/a lot of/lots of/] [{noun}] [here/in {{it}}/please/over {{it}}/]",
        f"[a/one] [layer/bit/touch/dash/blanket/lot/curtain] of [{noun}] [over/on/across/in front of] {{it}}",
    )


def _moved(instead: str, was: str) -> tuple[str, ...]:
    """A clip of one time that should be of another."""
    return (
        f"[shot/filmed/recorded/taken/we filmed it/i shot this] [{was}], [but/make it/so make it/it should look like/turn it into/now make it look like] [{instead}]",
        f"[pretend/let's say/imagine/suppose] [it was/this was/it's/we filmed] [{instead}] [and not {was.split('/')[0]}/instead of {was.split('/')[0]}/]",
        f"[make/let] {{it}} look like [it was/it is/we filmed it/i took it] [{instead}] [although it was {was.split('/')[0]}/even though it's not/]",
    )


COLLOQUIAL["snow"] += _missing("snow/snowflakes/snowfall/a snow shower")
COLLOQUIAL["rain"] += _missing("rain/raindrops/a downpour/drizzle/a shower")
COLLOQUIAL["fog"] += _missing("fog/mist/haze/thick fog/morning mist")
_DAY = (
    "at noon/in the afternoon/around lunch/in daylight/in broad daylight/in the morning/at ten o'clock/on a bright day"
)
COLLOQUIAL["night"] += _moved("at night/night/after dark/midnight/late in the night/nighttime/in the small hours", _DAY)
COLLOQUIAL["sunset"] += _moved("at sunset/sunset/in the evening sun/at sundown/dusk/in the last light of the day", _DAY)
COLLOQUIAL["dawn"] += _moved(
    "at dawn/dawn/at daybreak/in the first light/early in the morning/before sunrise",
    "at noon/in the afternoon/at lunch/in the evening/late/at three o'clock",
)
COLLOQUIAL["autumn"] += _moved(
    "in autumn/autumn/in the fall/in october/in september/in november/at leaf fall",
    "in spring/in summer/in june/in may/in winter/in july",
)
