"""The source over a folder: what is emitted, resumed, folded, left out and refused."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lockstitch.core.errors import AccessError, SettingsError, SourceDataError
from lockstitch.core.model import Checkpoint, Lane, Publish, Remaining, Selected, Stream, Version
from lockstitch.core.protocols import Fingerprinted, Source, TakesState
from lockstitch.testing.heap_bucket import DumpTable, file_key, write_dump
from sources.heap.bucket import (
    batches,
    cursors,
    lane,
    open_folder,
    read,
    rows,
    shape,
    values,
    write_dumps,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


def versions(messages: list[Any]) -> set[int]:
    return {message.number for message in messages if isinstance(message, Version | Publish)}


def test_it_is_a_source_that_can_be_verified_and_takes_a_taps_state(root: Path) -> None:
    source: Source = open_folder(root)
    assert isinstance(source, Fingerprinted)
    assert isinstance(source, TakesState)
    assert source.new_fields == "report"


def test_a_full_dump_is_a_version_of_its_own(root: Path) -> None:
    write_dumps(root, 100)
    before = time.time_ns() // 1_000_000
    messages = read(open_folder(root), "users")
    assert shape(messages) == "CVbCbPC"
    (number,) = versions(messages)
    assert before <= number <= time.time_ns() // 1_000_000
    assert values(messages, "user_id") == list(range(20))
    first, half, last = cursors(messages)
    assert first is None
    assert isinstance(half, dict)
    assert isinstance(last, dict)
    assert (half["file"], half["version"], half["filling"]) == (file_key(100, "users", 0), number, True)
    assert (last["file"], last["version"], "filling" in last) == (file_key(100, "users", 1), number, False)


def test_what_is_left_is_told(root: Path) -> None:
    write_dumps(root, 100)
    sizes = [(root / file_key(100, "users", part)).stat().st_size for part in (0, 1)]
    told = [message.remaining for message in read(open_folder(root), "users") if isinstance(message, Checkpoint)]
    assert told == [Remaining(2, sum(sizes)), Remaining(1, sizes[1]), Remaining(0, 0)]


def test_an_incremental_dump_goes_on_with_the_version(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "users")
    write_dumps(root, 101)
    messages = read(open_folder(root), "users", cursors(first)[-1])
    assert shape(messages) == "CbC"
    assert values(messages, "email") == [f"new mail {number}" for number in range(15, 25)]
    last = cursors(messages)[-1]
    assert isinstance(last, dict)
    assert last["version"] in versions(first)
    assert last["file"] == file_key(101, "users", 0)


def test_nothing_new_is_one_checkpoint_with_the_same_cursor(root: Path) -> None:
    write_dumps(root, 100, 101)
    last = cursors(read(open_folder(root), "users"))[-1]
    messages = read(open_folder(root), "users", last)
    assert messages == [Checkpoint(last)]


def test_a_resync_is_a_new_version_with_its_new_column(root: Path) -> None:
    write_dumps(root, 100, 101)
    first = read(open_folder(root), "sign_up")
    write_dumps(root, 102)
    messages = read(open_folder(root), "sign_up", cursors(first)[-1])
    assert shape(messages) == "CVbCbCbPC"
    assert values(messages, "plan") == [f"plan {number}" for number in range(300, 340)]
    assert max(versions(first)) < min(versions(messages))


def test_the_demo_bucket_gives_what_section_15_says(root: Path) -> None:
    write_dumps(root, 100, 101, 102)
    source = open_folder(root)
    counts = {stream.name: len(values(read(source, stream.name), stream.key[0])) for stream in source.discover()}
    assert counts == {
        "checkout": 4,
        "pageviews": 60,
        "sessions": 50,
        "sign_up": 40,
        "user_migrations": 8,
        "users": 30,
    }


def test_a_version_that_is_being_filled_is_told_again_after_a_resume(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "users")
    messages = read(open_folder(root), "users", cursors(first)[1])
    assert shape(messages) == "CVbPC"
    assert versions(messages) == versions(first)
    assert values(messages, "user_id") == list(range(10, 20))


def test_a_resync_that_arrives_while_a_version_is_filled_begins_another(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "users")
    write_dump(root, 103, {"users": DumpTable(rows(range(3), "user_id", email="mail"), incremental=False, files=2)})
    messages = read(open_folder(root), "users", cursors(first)[1])
    assert shape(messages) == "CVbCbPC"
    assert versions(messages).isdisjoint(versions(first))
    assert values(messages, "user_id") == [0, 1, 2]


def test_a_version_whose_last_files_are_gone_is_published_all_the_same(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "users")
    manifest = root / "manifests" / "sync_100.json"
    body = json.loads(manifest.read_text())
    del body["tables"][0]["files"][1]
    manifest.write_text(json.dumps(body))
    messages = read(open_folder(root), "users", cursors(first)[1])
    assert shape(messages) == "CVPC"
    assert versions(messages) == versions(first)


def test_an_empty_full_dump_empties_the_table_once(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "users")
    write_dump(root, 103, {"users": DumpTable(rows([], "user_id", email=""), incremental=False, files=0)})
    messages = read(open_folder(root), "users", cursors(first)[-1])
    assert shape(messages) == "CVPC"
    last = cursors(messages)[-1]
    assert read(open_folder(root), "users", last) == [Checkpoint(last)]
    write_dump(root, 104, {"users": DumpTable(rows([7], "user_id", email="mail"))})
    later = read(open_folder(root), "users", last)
    assert shape(later) == "CbC"
    assert values(later, "user_id") == [7]


def test_a_full_dump_of_files_without_rows_is_published(root: Path) -> None:
    write_dump(root, 1, {"users": DumpTable(rows([], "user_id", email=""), incremental=False)})
    assert shape(read(open_folder(root), "users")) == "CVPC"


def test_cutting_anywhere_gives_the_same_rows(root: Path) -> None:
    write_dump(root, 9, {"click": DumpTable(rows(range(50), x="x"), incremental=False, files=5)})
    write_dump(root, 10, {"click": DumpTable(rows(range(50, 90), x="x"), files=4)})
    whole = read(open_folder(root), "click")
    for stop, cut in enumerate(whole):
        if isinstance(cut, Checkpoint):
            rest = read(open_folder(root), "click", cut.cursor)
            assert values(whole[:stop], "event_id") + values(rest, "event_id") == list(range(90))


def test_later_rows_come_later(root: Path) -> None:
    """Dump 10 is after dump 9, and part 10 after part 9; whoever takes the last row of a key is right."""
    write_dump(root, 10, {"click": DumpTable(rows([1], x="dump 10"))})
    write_dump(root, 9, {"click": DumpTable(rows([1] * 12, x="dump 9"), files=12)})
    assert values(read(open_folder(root), "click"), "x") == ["dump 9 1"] * 12 + ["dump 10 1"]


def test_columns_that_are_not_selected_stay_out_and_the_key_stays_in(root: Path) -> None:
    write_dumps(root, 100, 101, 102)
    messages = read(open_folder(root), "sign_up", fields=frozenset({"plan"}))
    assert [batch.schema.names for batch in batches(messages)] == [["event_id", "plan"]] * 3


def test_a_column_that_a_file_lacks_is_simply_not_in_its_batches(root: Path) -> None:
    write_dumps(root, 100)
    write_dump(root, 101, {"users": DumpTable(rows([1], "user_id", plan="plan"))})
    messages = read(open_folder(root), "users", fields=frozenset({"email", "plan"}))
    assert [batch.schema.names for batch in batches(messages)] == [["user_id", "email"]] * 2 + [["user_id", "plan"]]


def test_files_without_a_manifest_are_an_unfinished_dump(root: Path) -> None:
    write_dumps(root, 100, 101)
    (root / "manifests" / "sync_101.json").unlink()
    assert len(values(read(open_folder(root), "users"), "user_id")) == 20


def test_a_missing_file_is_told_before_any_row(root: Path) -> None:
    write_dumps(root, 100)
    (root / file_key(100, "users", 1)).unlink()
    source = open_folder(root)
    with pytest.raises(SourceDataError) as caught:
        next(iter(source.read(lane("users"), None)))
    assert caught.value.message == (
        f"Heap manifest for dump 100 names {file_key(100, 'users', 1)}, which is not in the bucket"
    )
    assert "skip_missing_files" in (caught.value.hint or "")


def test_missing_files_can_be_skipped(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dumps(root, 100, 101)
    for key in (file_key(100, "users", 1), file_key(101, "users", 0)):
        (root / key).unlink()
    with caplog.at_level(logging.WARNING):
        messages = read(open_folder(root, skip_missing_files=True), "users")
    assert values(messages, "user_id") == list(range(10))
    assert caplog.text.count("is skipped") == 2
    last = cursors(messages)[-1]
    assert isinstance(last, dict)
    assert last["file"] == file_key(101, "users", 0)


def test_a_cut_file_is_told_and_none_of_its_rows_delivered(root: Path) -> None:
    write_dumps(root, 100)
    path = root / file_key(100, "users", 1)
    path.write_bytes(path.read_bytes()[:-20])
    seen: list[Any] = []
    with pytest.raises(SourceDataError, match="is cut short") as caught:
        seen.extend(open_folder(root).read(lane("users"), None))
    assert file_key(100, "users", 1) in caught.value.message


def test_a_key_that_leads_out_of_the_bucket_is_not_followed(root: Path) -> None:
    write_dumps(root, 100)
    manifest = root / "manifests" / "sync_100.json"
    manifest.write_text(manifest.read_text().replace("sync_100/users/", "sync_100/../../users/"))
    with pytest.raises(SourceDataError, match="which is not in the bucket"):
        read(open_folder(root), "users")


def test_a_selected_table_that_no_manifest_names_is_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dumps(root, 100)
    with caplog.at_level(logging.WARNING):
        assert open_folder(root).lanes([Selected(Stream("archived"))]) == ()
    assert "archived" in caplog.text


def test_an_empty_bucket_fails_the_check(root: Path) -> None:
    root.mkdir()
    with pytest.raises(SettingsError, match="No streams found") as caught:
        open_folder(root).check()
    assert "manifests/" in caught.value.message
    assert open_folder(root).discover() == ()


def test_a_folder_that_is_not_there_fails_the_check(root: Path) -> None:
    with pytest.raises(AccessError, match="there is no folder"):
        open_folder(root).check()


def test_a_good_bucket_passes_the_check(root: Path) -> None:
    write_dumps(root, 100)
    open_folder(root).check()


def test_the_fold_is_what_readers_see(root: Path) -> None:
    write_dumps(root, 100)
    first = read(open_folder(root), "sign_up")
    write_dumps(root, 101)
    second = read(open_folder(root), "sign_up", cursors(first)[-1])
    write_dumps(root, 102)
    third = read(open_folder(root), "sign_up", cursors(second)[-1])
    source = open_folder(root)

    def folded(cursor: Any) -> list[Any]:
        return values(source.fold(lane("sign_up"), cursor), "event_id")

    assert folded(None) == []
    assert folded(cursors(first)[-1]) == list(range(300, 330))
    assert folded(cursors(second)[-1]) == list(range(300, 335))
    # While the resync is being filled, readers still see what was there before it.
    assert folded(cursors(third)[1]) == list(range(300, 335))
    assert folded(cursors(third)[-1]) == list(range(300, 340))


def test_the_first_version_is_not_seen_before_it_is_published(root: Path) -> None:
    write_dumps(root, 100)
    filling = cursors(read(open_folder(root), "users"))[1]
    assert shape(open_folder(root).fold(lane("users"), filling)) == "C"


STATES: dict[str, dict[str, Any]] = {
    "versions in the bookmarks": {
        "bookmarks": {"users": {"file": file_key(100, "users", 0), "version": 1607032341846}}
    },
    "versions beside them": {
        "bookmarks": {"users": {"file": file_key(100, "users", 0)}},
        "activate_versions": {"users": 1607032341846},
    },
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_taps_state_is_taken_over(root: Path, state: dict[str, Any]) -> None:
    write_dumps(root, 100, 101)
    source = open_folder(root)
    taken = source.cursors(state)
    assert taken == {"users": {"file": file_key(100, "users", 0), "version": 1607032341846}}
    messages = read(source, "users", taken["users"])
    assert shape(messages) == "CbCbC"
    assert values(messages, "user_id") == [*range(10, 20), *range(15, 25)]
    assert source.versions(Lane("users", ("users",)), taken["users"]) == {"users": 1607032341846}


def test_a_taps_state_without_a_version_begins_anew(root: Path) -> None:
    write_dumps(root, 100)
    source = open_folder(root)
    taken = source.cursors({"bookmarks": {"users": {"file": file_key(100, "users", 0)}}, "currently_syncing": None})
    assert shape(read(source, "users", taken["users"])) == "CVbCbPC"


@pytest.mark.parametrize("state", [{}, {"bookmarks": {}}, {"bookmarks": None}, {"bookmarks": {"users": {}}}], ids=str)
def test_a_taps_empty_state_gives_no_cursors(root: Path, state: dict[str, Any]) -> None:
    assert open_folder(root).cursors(state) == {}


def test_a_source_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    write_dumps(root, 100)
    source = open_folder(root, tmp_path / "spool")
    messages = source.read(lane("users"), None)
    for message in messages:
        if isinstance(message, Version):
            break
    source.close()
    assert not (tmp_path / "spool").exists() or list((tmp_path / "spool").iterdir()) == []


NOTHING_NEW = """
import sys, time
from lockstitch.sources.heap.spec import Properties, open_source
from lockstitch.core.model import Lane, Selected
source = open_source(Properties(bucket_url=sys.argv[1]))
began = time.perf_counter()
streams = source.discover()
(lane,) = source.lanes([Selected(stream) for stream in streams])
(checkpoint,) = source.read(lane, {"file": sys.argv[2], "version": 7})
print(time.perf_counter() - began)
print(sorted({"pyarrow", "datafusion", "boto3", "obstore"} & sys.modules.keys()))
"""


def test_nothing_new_among_100_manifests_loads_nothing_heavy(root: Path) -> None:
    for dump in range(1, 101):
        write_dump(root, dump, {"click": DumpTable(rows([dump], x="x"), incremental=dump > 1)})
    last = file_key(100, "click", 0)
    command = [sys.executable, "-c", NOTHING_NEW, root.as_uri(), last]
    seconds, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
    assert loaded == "[]"
    assert float(seconds) < 0.2  # some 10 ms on an idle machine
