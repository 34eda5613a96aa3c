import json
import multiprocessing
from pathlib import Path

import pytest

from dicom_node.audit.chain import Chain, head_path, verify
from dicom_node.domain.errors import GiveUp, TryAgain


def written(path: Path, count: int = 5) -> Path:
    chain = Chain(path)
    for number in range(count):
        chain.append(f"<m>{number}</m>")
    chain.flush()
    chain.close()
    return path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_verifies(tmp_path: Path) -> None:
    proof = verify(written(tmp_path / "new" / "audit.log"))
    assert (proof.lines, proof.cut, proof.anchored) == (5, (), True)
    assert (tmp_path / "new" / "audit.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("how", ["change", "take out", "double", "swap"])
def test_any_change_shows(tmp_path: Path, place: int, how: str) -> None:
    path = written(tmp_path / "audit.log")
    kept = lines(path)
    if how == "change":
        kept[place] = kept[place].replace(b"<m>", b"<M>")
    elif how == "take out":
        del kept[place]
    elif how == "double":
        kept.insert(place, kept[place])
    else:
        other = (place + 1) % 5
        kept[place], kept[other] = kept[other], kept[place]
    path.write_bytes(b"".join(kept))
    with pytest.raises(GiveUp):
        verify(path)


def test_a_line_cut_by_a_power_loss_is_told_from_tampering(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    with path.open("ab") as file:  # what the kernel kept of a line that was never flushed
        file.write(b'{"n": 6, "previous": "ab')
    assert verify(path).cut == (6,)
    written(path, 2)
    proof = verify(path)
    assert (proof.lines, proof.cut) == (8, (6,))


@pytest.mark.parametrize("left", [b"\0" * 100, b"\0" * 100 + b"\n", b'{"n": 6}'])
def test_other_remains_of_a_power_loss_are_mended_too(tmp_path: Path, left: bytes) -> None:
    path = written(tmp_path / "audit.log")
    with path.open("ab") as file:
        file.write(left)
    written(path, 1)
    assert verify(path).cut == (6,)


def test_a_cut_line_that_was_known_to_be_on_the_disk_is_tampering(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(GiveUp, match="line 5"):
        verify(path)
    written(path, 2)
    with pytest.raises(GiveUp):
        verify(path)


def test_lines_cut_off_show_when_more_were_written_since(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    path.write_bytes(b"".join(lines(path)[:3]))
    written(path, 4)
    with pytest.raises(GiveUp, match="lines up to 5"):
        verify(path)


def test_a_log_begun_anew_in_place_of_another_shows(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    path.unlink()
    written(path, 9)
    with pytest.raises(GiveUp, match="lines up to 5"):
        verify(path)


def test_a_line_without_its_end_alone_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(path).cut == (5,)
    written(path, 1)
    assert verify(path).cut == ()


def test_lines_missing_at_the_end_show(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    path.write_bytes(b"".join(lines(path)[:3]))
    with pytest.raises(GiveUp, match="lines 4 to 5"):
        verify(path)
    head_path(path).unlink()
    assert not verify(path).anchored


def test_a_damaged_line_in_the_middle_is_no_power_loss(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.log")
    kept = lines(path)
    kept[2] = b"\0" * len(kept[2][:-1]) + b"\n"
    path.write_bytes(b"".join(kept))
    with pytest.raises(GiveUp, match="line 3 is damaged"):
        verify(path)


def _append(path: Path, count: int) -> None:
    chain = Chain(path)
    for number in range(count):
        chain.append(f"{number}" * 500)
    chain.flush()


def test_several_processes_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_append, args=(path, 100)) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert verify(path).lines == 400
    assert [json.loads(line)["n"] for line in lines(path)] == list(range(1, 401))


def test_a_folder_that_refuses_is_a_passing_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TryAgain):
        Chain(tmp_path / "file" / "audit.log").append("x")
