import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pipelines.chunker import Chunker

PAGE = """# The harbour

Boats leave at nine.

## Tickets

A ticket costs four crowns. {extra}

## Lost things

Ask at the blue door.
"""


def test_a_chunk_knows_the_headings_above_its_beginning():
    chunks = Chunker(60).cut(PAGE.format(extra=""))
    assert [chunk.heading for chunk in chunks] == ["The harbour", "The harbour > Tickets", "The harbour > Lost things"]


def test_a_chunk_before_the_first_heading_has_none():
    assert Chunker(1000).cut("Just a line.")[0].heading is None


def test_a_hash_sign_inside_a_code_block_is_no_heading():
    chunks = Chunker(60).cut("# Real\n\n```\n# not a heading\n```\n\n" + "word " * 40)
    assert {chunk.heading for chunk in chunks} == {"Real"}


def test_the_hash_is_of_exactly_the_text_that_is_sent():
    for chunk in Chunker(100).cut(PAGE.format(extra="")):
        assert chunk.hash == hashlib.sha256(chunk.text.encode()).digest()


def test_an_edit_in_one_section_leaves_the_chunks_of_the_others():
    chunker = Chunker(120)
    before = {chunk.hash for chunk in chunker.cut(PAGE.format(extra="Children pay half."))}
    after = {chunk.hash for chunk in chunker.cut(PAGE.format(extra="Children go free."))}
    assert len(after - before) == 1


def test_a_page_without_text_has_no_chunks():
    assert Chunker(1000).cut(" \n\t\n") == []


def test_its_version_names_the_size():
    assert Chunker(1000).version != Chunker(1200).version


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=600), st.integers(100, 300))
def test_no_chunk_is_longer_than_asked_and_no_word_is_lost(text, size):
    chunks = Chunker(size).cut(text)
    assert all(len(chunk.text) <= size for chunk in chunks)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())
