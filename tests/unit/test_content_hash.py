from pipelines.unchanged import content_hash


def test_white_space_and_unicode_form_do_not_make_a_page_changed():
    assert content_hash("Café", "one\n\ntwo  three") == content_hash("Cafe\u0301", "one two\tthree\n")


def test_a_word_makes_a_page_changed():
    assert content_hash("t", "one two") != content_hash("t", "one too")


def test_the_title_is_part_of_it():
    assert content_hash("a", "text") != content_hash("b", "text")


def test_text_that_moves_between_title_and_content_is_a_change():
    assert content_hash("a", "b c") != content_hash("a b", "c")
