"""The runner of the documents: that it finds what is there, and that what is wrong fails."""

import pytest
from documents import LOOK, Command, DocumentError, File, LabDeed, Player, matches, parse

DOCUMENT = """\
Text with `code`.

```ini hello.service
[Service]
ExecStart=/bin/true
```
```console machine-2
$ one \\
> more
out
# two
```
<!-- lab: kill 3 -->
"""


def test_a_document_is_taken_apart():
    assert parse(DOCUMENT) == [
        File(3, "hello.service", "[Service]\nExecStart=/bin/true\n"),
        Command(8, "one \\\nmore", False, [2], ["out"], 9), Command(11, "two", True, [2], [], 11), LabDeed(13, ["kill", "3"])]


@pytest.mark.parametrize("text", ["```\nx\n```\n", "```sh\n$ x\n```\n", "```text\nx\n```\n", "```console\nout\n```\n",
                                  "```console\n$ x\n", "```console machine-x\n$ x\n```\n", "Text.\n\n    $ x\n"])
def test_an_unknown_kind_of_block_fails(text):
    with pytest.raises(DocumentError):
        parse(text)


def test_a_block_that_is_not_run_must_be_there():
    assert parse("```sh\n./run\n```\n", ["./run"]) == []
    with pytest.raises(DocumentError):
        parse("```console\n$ x\n```\n", ["./run"])


@pytest.mark.parametrize("expected, actual, same", [
    ([], [], True), ([], ["x"], False), (["x"], [], False), (["a  b "], ["a\tb"], False), (["a       b"], ["a\tb"], True),
    (["a...c"], ["abc"], True), (["a...c"], ["abd"], False), (["x", "...", "z"], ["x", "y", "y", "z"], True),
    (["x", "...", "z"], ["x", "y"], False), (["..."], [], True), (["x.y"], ["xay"], False), (["x"], ["x", "y"], False),
])
def test_outputs_are_compared_line_by_line(expected, actual, same):
    assert matches(expected, actual) is same


def test_what_systemctl_says_of_the_socket_now_and_then_is_left_out(lab):
    said = "Warning: Stopping fleet.service, but it can still be activated by:\n  fleet.socket\nWarning: else\n"
    assert Player(lab).there(said) == "Warning: else\n"


def test_only_looks_are_repeated():
    for look in ("fleetctl list-units", "etcdctl --a=b \\\n--c=d endpoint health", "curl -s --unix-socket x http://f"):
        assert LOOK.match(look), look
    for deed in ("fleetctl start x", "etcdctl --a=b put x", "curl -s --unix-socket x -X PUT http://f",
                 "curl -s --unix-socket x \\\n-d '{}' http://f", "echo fleetctl list-units"):
        assert not LOOK.match(deed), deed


def play(lab, tmp_path, text):
    file = tmp_path / "document.md"
    file.write_text(text)
    Player(lab).play(file)


def test_right_outputs_pass(fleet, lab, tmp_path):
    play(lab, tmp_path, "```ini a.txt\nhello\n```\n```console\n$ cat a.txt; id -un; pwd\nhello\ncore\n/home/core\n# id -un\nroot\n```\n"
         "```console machine-2 machine-3\n$ hostname\nmachine-...\n```\n```console machine-2\n$ hostname; echo 172.18.1.2; hostname -i\nmachine-2\n172.18.1.2\n172.18.1.2\n```\n")


@pytest.mark.parametrize("commands", ["$ echo no\nyes", "$ true\noutput", "$ echo yes", "$ false", "$ echo x; false\nx"])
def test_wrong_outputs_and_statuses_fail(fleet, lab, tmp_path, commands):
    with pytest.raises(AssertionError, match="document.md:2"):
        play(lab, tmp_path, f"```console\n{commands}\n```\n")
