"""YAML text to nodes: what words mean, where they stand, what is refused."""

import time

import pytest

from fragility.study.yaml import MAX_BYTES, MAX_DEPTH, YamlError, decode, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E+4", 10000),
        ("2.0", 2.0),
        ("1.0e3", 1000.0),
        (".5", 0.5),
        ("-12", -12),
        ("0x1f", 31),
        ("0o17", 15),
        ("010", 10),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, [2, {a: b}]]", [1, [2, {"a": "b"}]]),
        ("9223372036854775807", 2**63 - 1),
        ("1e300", 1e300),
    ],
)
def test_words_mean_what_yaml_1_2_says(text, value):
    found = parse(f"key: {text}").plain()["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_words_whatever_they_look_like():
    assert parse("1: a\non: b\nnull: c\n").plain() == {"1": "a", "on": "b", "null": "c"}


def test_places_of_keys_and_values():
    root = parse("models:\n  mlp: {width: 5, hidden: [1, 22]}\n  empty:\n")
    mlp = root.child("models").entries["mlp"]
    assert (mlp.key.line, mlp.key.column, mlp.key.width) == (2, 3, 3)
    assert (mlp.node.place.line, mlp.node.place.column, mlp.node.place.width) == (2, 8, 27)
    item = root.get(("models", "mlp", "hidden", 1)).place
    assert (item.line, item.column, item.width) == (2, 31, 2)
    empty = root.child("models").entries["empty"]
    assert empty.node.place == empty.key


def test_anchors_and_merges():
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 5}\nd: {<<: *a}\ne: *a\n"
    plain = parse(text).plain()
    assert plain["c"] == {"x": 5, "y": 2, "z": 4}
    assert plain["d"] == plain["e"] == {"x": 1, "y": 2}


def test_an_alias_stands_where_its_anchor_is_written():
    assert parse("a: &a [1]\nb: *a\n").get(("b", 0)).place.line == 1


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 0, 0, "the file is empty."),
        ("# words\n", 0, 0, "the file is empty."),
        ("a: [1,\nb: 2", 1, 4, "this `[` is not closed: expected `,` or `]` at line 2, column 5."),
        ("a: {b: 1\n", 1, 4, "this `{` is not closed: expected `,` or `}` at line 2, column 1."),
        ("a: 'x\n", 1, 4, "this quote is not closed."),
        ("a:\n\tb: 1", 2, 1, "a tab where YAML allows only spaces. Indent with spaces."),
        ("a: 1\na: 2", 2, 1, "the key `a` is there twice: first (line 1, column 1), then here."),
        ("a: b: c", 1, 5, "a `:` cannot stand here."),
        ("a:\n  b: 1\n c: 2", 3, 2, "this does not fit what stands above it."),
        ("a: *x", 1, 4, "`*x` refers to no `&x` above it."),
        ("a: &x [*x]", 1, 8, "`*x` stands inside `&x`, which would be endless."),
        ("a: 5\n<<: 5", 2, 5, "`<<` takes a mapping, or a list of mappings."),
        ("a: !!python/object:os.system x", 1, 4, "the tag `!!python/object:os.system` is refused"),
        ("a: !!set {b}", 1, 4, "the tag `!!set` is refused"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins; a study is one document."),
        ("? [1, 2]\n: 3", 1, 3, "a key must be a word, not a list, a mapping or an alias."),
        ("a: .nan", 1, 4, "`.nan` is not a number a study can hold."),
        ("a: -.inf", 1, 4, "`-.inf` is not a number a study can hold."),
        ("a: 1e999", 1, 4, "this number is too large"),
        ("a: 9223372036854775808", 1, 4, "this whole number does not fit in 64 bits."),
        (f"a: {'9' * 5000}", 1, 4, "this whole number does not fit in 64 bits."),
        ('a: "\\uD800"', 1, 4, "half a surrogate pair is not a character."),
        ('a: "\\UFFFFFFFF"', 1, 1, "not readable as YAML"),
        ("a: @b", 1, 4, "`@` cannot begin a value. Put it in quotes."),
        ("%YAML 3.0\n---\na: 1", 1, 1, "not readable as YAML"),
    ],
)
def test_what_is_refused_is_located(text, line, column, message):
    with pytest.raises(YamlError) as error:
        parse(text)
    problem = error.value.problem
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith(message)


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, '{"a":' * 50_000])
def test_depth_bombs_are_refused_at_once(text):
    begin = time.perf_counter()
    with pytest.raises(YamlError, match=f"more than {MAX_DEPTH} levels"):
        parse(text)
    assert time.perf_counter() - begin < 2


def test_alias_bombs_are_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(YamlError, match="aliases written out"):
        parse("\n".join(lines))


def test_a_merge_bomb_is_counted_written_out():
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{b: {{<<: *a{i - 1}}}, c: *a{i - 1}}}" for i in range(1, 30)]
    with pytest.raises(YamlError, match="aliases written out"):
        parse("\n".join(lines))


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        (b"study: \xff\xfe", 1, 8, "not UTF-8 text (byte 0xff)"),
        ("study: é\n".encode("latin-1"), 1, 8, "not UTF-8 text (byte 0xe9)"),
        ("a: 1\nb: 2".encode("utf-16"), 1, 1, "not UTF-8 text"),
        (b"a: 1\nb\x00: 2", 2, 2, "the character U+0000 cannot stand in a YAML file."),
        (b"a" * (MAX_BYTES + 1), 0, 0, "larger than 1 MiB"),
    ],
)
def test_bytes_that_are_no_text_are_located(data, line, column, message):
    with pytest.raises(YamlError) as error:
        decode(data)
    problem = error.value.problem
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith(message)


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert decode(b"\xef\xbb\xbfa: 1") == "a: 1"
