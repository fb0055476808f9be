"""Words of photographic criticism, as data: their subject matter, and their verdicts.

Chosen by reading the critiques of half of PCCD's critics (`docs/cfan.md`); the other
half was left for the test. Strengths are on VADER's scale, about -4 to 4.
"""

# What a sentence on "photographic rules" (type I) is about; plurals are found as well.
SUBJECTS = frozenset(
    """
    angle aperture background balance blur border brightness camera clarity color colour
    composition contrast crop cropping depth detail dof edge exposure f-stop field focus
    foreground frame framing geometry grain harmony highlight horizon hue iso layout
    leading lens light lighting line noise pattern perspective placement point
    position pose post-processing processing reflection repetition rule saturation
    shadow sharpness shutter silhouette sky space speed subject symmetry
    technique texture third tone tonality vignette white
    """.split()
)
# What feelings (type II) are about: the photograph as a whole.
WHOLE = frozenset(
    """
    capture concept creativity effort entry idea image impact job mood photo photograph
    pic picture piece shoot shot snapshot story title work
    """.split()
)

# Words that VADER holds for feelings and that name things in a photograph.
NEUTRAL = frozenset(
    """
    agree alone arm arms benefit bomb bright care challenge chance clear credit cut
    dark dead dear definitely determined drop dropped easy empty encourage fan fire
    focused forced free grave greater grey growing gun hand hell hey important
    increase increased interest kind lone loss lost low lower matter number pay play
    playing please pretty resolved safe shake share sharing solid solution special
    stop stops sunny sure top tree value vision vulnerable want war warm warmer
    weird worth
    """.split()
)

VERDICTS: dict[str, float] = {
    # how well it is done
    "perfectly": 3.0,
    "well": 1.5,
    "very well": 2.5,
    "really well": 2.5,
    "very good": 2.5,
    "well executed": 2.5,
    "executed": 2.0,
    "use of": 1.2,
    "nicely": 2.2,
    "beautifully": 3.0,
    "wonderfully": 3.0,
    "spot on": 3.0,
    "right on": 2.0,
    "well done": 3.0,
    "great job": 3.0,
    "good job": 2.5,
    "nice work": 2.5,
    "nothing wrong": 1.5,
    "keep up": 1.5,
    "just right": 2.5,
    "tack sharp": 2.5,
    "works": 1.5,
    "appropriate": 1.2,
    "effective": 1.8,
    "dramatic": 1.2,
    "compelling": 2.0,
    "crisp": 1.8,
    "sharp": 1.5,
    "balanced": 1.5,
    "striking": 2.0,
    "stunning": 3.2,
    "adds": 1.0,
    "adds to": 1.5,
    "superb": 3.2,
    "flawless": 3.2,
    "eye-catching": 2.0,
    "draws": 1.0,
    "gives": 0.8,
    "brings": 1.0,
    "holds": 1.0,
    "helps": 0.8,
    "flow": 1.0,
    "drama": 1.2,
    "interesting": 0.8,
    "captured": 1.0,
    "love": 3.0,
    "wouldn't change": 2.5,
    # what is wrong with it
    "too": -1.2,
    "but": -0.6,
    "although": -0.6,
    "however": -0.6,
    "sorry": -1.2,
    "potential": -1.0,
    "good effort": -0.8,
    "acceptable": -0.5,
    "flat": -1.6,
    "dull": -1.8,
    "harsh": -1.8,
    "soft": -0.8,
    "blurry": -1.8,
    "blurred": -0.8,
    "noisy": -1.6,
    "grainy": -1.2,
    "muddy": -1.6,
    "washed out": -2.0,
    "blown": -1.6,
    "blown out": -2.0,
    "overexposed": -2.0,
    "underexposed": -2.0,
    "over exposed": -2.0,
    "under exposed": -2.0,
    "out of focus": -2.0,
    "not in focus": -2.0,
    "distracting": -2.0,
    "distracts": -2.0,
    "distraction": -2.0,
    "distractions": -1.6,
    "detracts": -2.0,
    "cluttered": -1.8,
    "busy": -1.5,
    "messy": -1.8,
    "crooked": -1.6,
    "tilted": -1.2,
    "snapshot": -1.8,
    "centered": -0.8,
    "cut off": -1.5,
    "cropped off": -1.5,
    "let down": -2.0,
    "unfortunately": -2.0,
    "lacks": -1.8,
    "lacking": -1.8,
    "lack": -1.8,
    "missing": -1.4,
    "common": -1.0,
    "ordinary": -1.5,
    "average": -0.4,
    "uninteresting": -2.2,
    "confusing": -1.8,
    "unclear": -1.8,
    "unsure": -1.2,
    "not sure": -1.5,
    "impossible": -1.5,
    "difficult": -1.2,
    "mistake": -1.8,
    "problem": -1.6,
    "issue": -1.2,
    "issues": -1.2,
    "poor": -2.2,
    "poorly": -2.2,
    "okay": -0.5,
    "ok": -0.5,
    "fine": -0.3,
    "does not": -0.8,
    "doesn't": -0.8,
    "is not": -0.8,
    "isn't": -0.8,
    "there is no": -1.2,
    # what it should have been: a suggestion names a fault
    "could have": -1.6,
    "should have": -1.6,
    "would have": -1.4,
    "would be better": -1.6,
    "better if": -1.6,
    "better": -0.6,
    "instead": -0.8,
    "should": -0.6,
    "could": -0.5,
    "more interesting": -1.4,
    "needs": -1.4,
    "improve": -1.4,
    "improved": -1.4,
    "improvement": -1.4,
    "you should": -1.0,
    "next time": -1.2,
    "try": -0.8,
    "trying": -1.0,
    "trying to": -1.2,
    "think": -0.6,
    "something": -0.6,
    "looks a": -0.8,
    "much more": -1.0,
    "why": -0.8,
}

NEGATIONS = frozenset(
    """
    not no never none nothing neither nor without hardly lacks cannot can't don't
    doesn't didn't isn't wasn't aren't weren't won't wouldn't couldn't shouldn't ain't
    haven't hasn't
    """.split()
)
# A good word after one of these is a wish, not a verdict: "would be stronger".
WISHES = frozenset("would could should might wish if hope need needs".split())
