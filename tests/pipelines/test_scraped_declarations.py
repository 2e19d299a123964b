"""Wrong declarations: which file, which target, which field, and what to do."""

from pathlib import Path

import pytest

from pipelines.errors import SettingError
from pipelines.sources.scraped.targets import read_declarations
from pipelines.warehouse import PROJECT_ROOT

GOOD = '[[target]]\nmetric_key = "figure"\nurl = "https://host.example/page"\ncss = "b"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "scraped.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("wrong", "field", "remedy"),
    [
        (GOOD.replace('"figure"', '"Figure One"'), "metric_key", "lower-case"),
        (GOOD.replace('"figure"', "3"), "metric_key", "text"),
        (GOOD.replace("https://host.example/page", "host.example"), "url", "https://"),
        (GOOD.replace("https://", "file://"), "url", "https://"),
        (GOOD.replace("host.example", "me:secret@host.example"), "url", "secrets"),
        (GOOD.replace('css = "b"', ""), "an extractor", "exactly one of"),
        (GOOD + 'json = "$.a"', "css and json", "exactly one of"),
        (GOOD.replace('"b"', '"b["'), "css", "Correct"),
        (GOOD.replace('css = "b"', 'xpath = "//b["'), "xpath", "Correct"),
        (GOOD.replace('css = "b"', 'json = "$.[["'), "json", "Correct"),
        (GOOD.replace('css = "b"', 'regex = "("'), "regex", "Correct"),
        (GOOD + "neverfalls = true", "neverfalls", "never_falls"),
        (GOOD + "min = 'a'", "min", "number"),
        (GOOD + "min = nan", "min", "number"),
        (GOOD + "min = true", "min", "number"),
        (GOOD + "min = 5\nmax = 4", "min", "Exchange"),
        (GOOD + "tolerance = 5", "tolerance", "0.02"),
        (GOOD + "every_hours = 0", "every_hours", "1 to 744"),
        (GOOD + "decimal = ';'", "decimal", "decimal mark"),
        (GOOD + "login = 'nowhere'", "login", "[logins.nowhere]"),
        (GOOD + "login = 'a'\n[logins.a]\nurl = 'x'", "url", "https://"),
        (GOOD + "compare_from = '2026-01-01'", "compare_from", "without quotes"),
        (GOOD + "compare_from = 2026-01-01T00:00:00Z", "compare_from", "without quotes"),
        (GOOD.replace('css = "b"', "feed = false"), "feed", "feed = true"),
        ('[[target]]\nmetric_key = "a"\ngithub = "owner"\nfigure = "stars"', "github", "owner/repository"),
        ('[[target]]\nmetric_key = "a"\ngithub = "o/r"\nfigure = "likes"', "figure", "stars, forks"),
        (
            '[[target]]\nmetric_key = "a"\nnpm = "x"\nfigure = "last_day"\nbase_url = "y"',
            "base_url",
            "https://",
        ),
    ],
)
def test_a_wrong_target_is_named_with_its_field_and_remedy(
    tmp_path: Path, wrong: str, field: str, remedy: str
) -> None:
    good = GOOD.replace('"figure"', '"good"')
    declarations = read_declarations(write(tmp_path, good + wrong))
    assert [target.metric_key for target in declarations.targets] == ["good"]
    [error] = declarations.errors
    assert "scraped.toml, target" in error.problem
    assert f" {field} " in error.problem
    assert remedy in error.remedy
    assert "secret@" not in str(error)


def test_two_targets_of_one_name_are_refused(tmp_path: Path) -> None:
    declarations = read_declarations(write(tmp_path, GOOD + GOOD))
    assert (len(declarations.targets), len(declarations.errors)) == (1, 1)
    assert "declared twice" in declarations.errors[0].problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[target]\n", "not valid TOML"),
        ("", "declares no target"),
        ("target = 3", "declares no target"),
        ("target = [1]", "declares no target"),
        (f"{GOOD}[login.a]", "part 'login'"),
    ],
)
def test_a_file_that_declares_nothing_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingError, match=r"scraped\.toml") as refused:
        read_declarations(write(tmp_path, text))
    assert problem in refused.value.problem


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"absent\.toml"):
        read_declarations(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(SettingError, match="UTF-8"):
        read_declarations(tmp_path / "latin.toml")


def test_the_example_without_its_comment_signs_declares_targets(tmp_path: Path) -> None:
    lines = (PROJECT_ROOT / "pipelines/sources/scraped/example.toml").read_text(encoding="utf-8").splitlines()
    blocks = "\n".join(line.removeprefix("#").strip() for line in lines).split("\n\n")
    kept = [block for block in blocks if block.startswith("[")]
    declarations = read_declarations(write(tmp_path, "\n\n".join(kept)))
    assert declarations.errors == []
    assert len(declarations.targets) == 7
