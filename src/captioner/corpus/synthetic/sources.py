"""All sources of the corpus by name."""

from captioner.corpus.synthetic import animals, machines, nature, objects, people
from captioner.corpus.synthetic.source import Source

SOURCES: dict[str, Source] = {
    source.name: source
    for family in (nature, animals, machines, objects, people)
    for source in family.SOURCES
}
