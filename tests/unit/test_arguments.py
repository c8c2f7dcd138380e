import pytest

from pipelines.arguments import RunArguments


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "1", "yes", "YES", " true ", True])
def test_force_rescrape_is_on_for_every_way_of_saying_yes(word):
    assert RunArguments.parse({"force_rescrape": word}).force_rescrape is True


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "NO", False])
def test_force_rescrape_is_off_for_every_way_of_saying_no(word):
    assert RunArguments.parse({"force_rescrape": word}).force_rescrape is False


@pytest.mark.parametrize("word", ["", "ture", "on", "y", "2", "None", "tru e", None])
def test_anything_else_is_an_error_that_names_the_argument_and_what_it_may_be(word):
    with pytest.raises(ValueError, match=r"force_rescrape=.*true, false, 1, 0, yes or no"):
        RunArguments.parse({"force_rescrape": word})


def test_a_mistyped_name_is_an_error_and_not_a_silent_no():
    with pytest.raises(ValueError, match=r"unknown argument force_rescrap: .*force_rescrape"):
        RunArguments.parse({"force_rescrap": "true"})


def test_what_a_scheduler_passes_for_itself_is_left_alone():
    assert RunArguments.parse({"_job": "6487ec79947edab326d6db28a2d86511e8247444"}) == RunArguments()


@pytest.mark.parametrize(("given", "limit"), [("1", 1), ("250", 250), (" 7 ", 7)])
def test_max_pages_is_a_whole_number(given, limit):
    assert RunArguments.parse({"max_pages": given}).max_pages == limit


@pytest.mark.parametrize("given", ["0", "-1", "ten", "1.5", ""])
def test_a_max_pages_that_is_none_is_an_error(given):
    with pytest.raises(ValueError, match="max_pages"):
        RunArguments.parse({"max_pages": given})


def test_the_record_holds_json_booleans():
    assert RunArguments.parse({"reembed": "yes"}).as_json() == {
        "force_rescrape": False,
        "reembed": True,
        "allow_mass_delete": False,
        "max_pages": None,
    }
