"""AVA with reviews: sentences about what a user likes or dislikes in a photograph."""

import json
from pathlib import Path

import numpy as np

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import ava
from jiaa.data.synthetic.photographs import Facts
from jiaa.data.synthetic.raters import Raters

OPENINGS = {
    1: "I do not like this photo.",
    2: "This does not work for me.",
    3: "An average shot.",
    4: "A good photo, I like it.",
    5: "Excellent, I love this photo!",
}
GOOD, BAD = ("great", "beautiful", "strong"), ("weak", "poor", "disappointing")
# What CFAN calls ambiguous and equivocal: says nothing about the photograph.
ASIDES = ("How handsome!", "Do you live there?", "Good luck in the challenge.")


def write(
    root: Path,
    *,
    seed: int = 0,
    images: int = 300,
    users: int = 60,
    reviews_per_image: int = 8,
    image_size: int = 64,
) -> Path:
    """AVA.txt, images/ and reviews.jsonl; each review has its writer's stars."""
    facts = photographs.draw_facts(images, seed=seed, group="crowd")
    votes = ava.draw_votes(facts, voters=200, seed=seed)
    ava.write_table(root, facts, votes, seed=seed)
    ava.write_photographs(root, facts, images, seed=seed, image_size=image_size)
    people = raters.draw_raters(users, seed=seed, group="crowd")
    names = raters.rater_names(people)
    number = ava.image_number(facts.index)
    truth = raters.true_stars(people, facts)
    rng = world.stream(seed, "deal", "crowd", 2)
    with (root / "reviews.jsonl").open("w") as file:
        for row in range(images):
            count = min(users, 1 + int(rng.poisson(reviews_per_image - 1)))
            for user in rng.choice(users, count, replace=False).tolist():
                stars = int(np.clip(np.rint(truth[user, row]), 1, 5))
                record = {
                    "image": int(number[row]),
                    "user": names[user],
                    "review": review(people, user, facts, row, stars=stars, rng=rng),
                    "score": stars,
                }
                file.write(json.dumps(record) + "\n")
    return root


def review(
    people: Raters,
    user: int,
    facts: Facts,
    row: int,
    *,
    stars: int,
    rng: np.random.Generator,
) -> str:
    """A verdict, the attribute that pleases or disturbs most, and maybe an aside."""
    weights = people.weights[user, : len(world.ATTRIBUTES)]
    effect = weights * facts.attributes[row]
    good = stars >= 3
    noticed = int(effect.argmax() if good else effect.argmin())
    word = rng.choice(GOOD if good else BAD)
    subject = world.ATTRIBUTES[noticed].replace("_", " ")
    sentences = [OPENINGS[stars], f"The {subject} is {word}."]
    if rng.random() < 0.3:
        sentences.append(str(rng.choice(ASIDES)))
    return " ".join(sentences)
