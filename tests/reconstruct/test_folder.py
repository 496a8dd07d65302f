"""Folders near and far: local paths, memory, object stores, the Hub."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.atomic import remove_leftovers, replacing
from pipeline.errors import UnreadableFile, WrongRun
from pipeline.reconstruct.folder import Folder, hidden, inputs
from pipeline.reconstruct.local_files import LocalFiles, local_path


class Bucket(fsspec.AbstractFileSystem):
    """An object store: no folders, whole uploads only, and listings that are remembered too long."""

    protocol = "bucket"
    objects: ClassVar[dict[str, bytes]] = {}
    refuse: ClassVar[set[str]] = set()

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path).rstrip("/")
        if path not in self.dircache:
            self.dircache[path] = self._looked_up(path)
        entries = self.dircache[path]
        return entries if detail else [e["name"] for e in entries]

    def _looked_up(self, path: str) -> list[dict[str, Any]]:
        found = {}
        for key, content in self.objects.items():
            if key == path:
                return [{"name": key, "size": len(content), "type": "file"}]
            if key.startswith(f"{path}/" if path else ""):
                rest = key.removeprefix(path).lstrip("/")
                name = f"{path}/{rest.partition('/')[0]}".lstrip("/")
                kind = "directory" if "/" in rest else "file"
                found[name] = {"name": name, "size": len(content), "type": kind}
        if not found:
            raise FileNotFoundError(path)
        return list(found.values())

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        path = self._strip_protocol(path)
        if mode == "rb":
            if path not in self.objects:
                raise FileNotFoundError(path)
            return io.BytesIO(self.objects[path])
        assert mode == "wb"
        store = self.objects

        class Upload(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    store[path] = self.getvalue()
                super().close()

        return Upload()

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        if rpath in self.refuse:
            raise ConnectionError("the network is gone")
        # As if another process had written: what was listed before is not forgotten.
        self.objects[self._strip_protocol(rpath)] = Path(lpath).read_bytes()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def rm_file(self, path: str) -> None:
        del self.objects[self._strip_protocol(path)]
        self.dircache.clear()

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()


@pytest.fixture
def bucket() -> Iterator[dict[str, bytes]]:
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    Bucket.clear_instance_cache()
    Bucket.objects.clear()
    Bucket.refuse.clear()
    yield Bucket.objects
    Bucket.objects.clear()


@pytest.fixture
def memory() -> Iterator[dict[str, Any]]:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield MemoryFileSystem.store
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def upload(root: str, source: Path) -> None:
    fs, path = fsspec.core.url_to_fs(root)
    for file in source.rglob("*.parquet"):
        with fs.open(f"{path}/{file.relative_to(source)}", "wb") as remote:
            remote.write(file.read_bytes())


def remote_contents(root: str) -> dict[str, bytes]:
    fs, path = fsspec.core.url_to_fs(root)
    fs.invalidate_cache()
    found = {}
    for name in fs.find(path):
        relative = name.removeprefix(path).lstrip("/")
        if relative.split("/")[0] in {"data", "ledger", "state", "removed"}:
            found[relative] = fs.cat_file(name)
    return found


@pytest.mark.parametrize("scheme", ["memory", "bucket"])
def test_remote_runs_equal_local_ones(
    world: Any, scheme: str, bucket: dict[str, bytes], memory: dict[str, Any]
) -> None:
    source = world.corpus({"a.parquet": 4200, "b/c.parquet": 30, "d.parquet": 0}, row_group=300)
    world.run(source, removed="scrubbed")
    expected = world.contents(world.folder / "out")
    expected = {k: v for k, v in expected.items() if "/" in k}
    upload(f"{scheme}://world/corpus", source)
    out = f"{scheme}://world/out"
    seen: list[tuple[int, int]] = []
    result = world.run(
        f"{scheme}://world/corpus", out, removed="scrubbed", progress=lambda *at: seen.append(at)
    )
    assert remote_contents(out) == expected
    assert seen[-1] == (4230, 4230)
    assert world.run(f"{scheme}://world/corpus", out, removed="scrubbed").resumed_files == 3
    # In and out need not lie in the same place; where the input lies is no part of the run.
    assert world.run(source, out, removed="scrubbed").resumed_files == 3
    assert world.run(
        out.replace("out", "corpus"), world.folder / "out", removed="scrubbed"
    ) == type(result)(
        str(world.folder / "out"),
        3,
        4230,
        result.documents_out,
        result.replaced,
        result.fingerprint,
        3,
    )


def test_a_single_remote_file(world: Any, bucket: dict[str, bytes]) -> None:
    upload("bucket://world/corpus", world.corpus({"a.parquet": 30, "b.parquet": 3}))
    world.run("bucket://world/corpus/b.parquet", world.folder / "out")
    assert set(world.tables(world.folder / "out/data")) == {"b.parquet"}


def test_a_run_into_an_object_store_goes_on(world: Any, bucket: dict[str, bytes]) -> None:
    """The upload of the second file fails; what is there is whole, and the rest is made later."""
    source = world.corpus({"a.parquet": 30, "b.parquet": 30})
    Bucket.refuse.add("world/out/data/b.parquet")
    with pytest.raises(Exception, match=r"cannot be written to .ConnectionError.: check"):
        world.run(source, "bucket://world/out")
    assert "world/out/state/a.parquet.json" in bucket
    assert not [name for name in bucket if name.endswith(("b.parquet", "b.parquet.json"))]
    Bucket.refuse.clear()
    assert world.run(source, "bucket://world/out").resumed_files == 1
    Bucket.invalidate_cache(fsspec.filesystem("bucket"))
    del bucket["world/out/data/a.parquet"]
    assert world.run(source, "bucket://world/out").resumed_files == 1


def test_a_bucket_with_something_else_in_it(world: Any, bucket: dict[str, bytes]) -> None:
    source = world.corpus({"a.parquet": 3})
    bucket["world/out/deep/thesis.tex"] = b"precious"
    with pytest.raises(WrongRun, match="holds files that are no run"):
        world.run(source, "bucket://world/out")
    assert list(bucket) == ["world/out/deep/thesis.tex"]
    with pytest.raises(UnreadableFile, match="holds no Parquet file"):
        world.run("bucket://world/out", world.folder / "out")
    with pytest.raises(UnreadableFile, match="does not exist"):
        world.run("bucket://world/nothing", world.folder / "out")


def test_a_remote_file_system_that_fails(world: Any, bucket: dict[str, bytes]) -> None:
    class Broken(Bucket):
        protocol = "broken"

        def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
            raise RuntimeError("401: your secret token ABC is invalid")

    fsspec.register_implementation("broken", Broken, clobber=True)
    with pytest.raises(UnreadableFile, match=r"cannot be listed \(RuntimeError\): check") as caught:
        world.run("broken://world/corpus")
    assert "ABC" not in str(caught.value)


def test_the_hub_is_reached_through_its_own_file_system() -> None:
    """Offline, only that the address is handed to the right place."""
    from huggingface_hub import HfFileSystem

    folder = Folder("hf://datasets/HuggingFaceFW/fineweb@v1.3.0/sample/10BT")
    assert isinstance(folder._fs, HfFileSystem)
    assert folder.local is None
    path = "datasets/HuggingFaceFW/fineweb@v1.3.0/sample/10BT"
    assert folder.path("a.parquet") == f"{path}/a.parquet"
    assert folder._name(f"{path}/deep/a.parquet") == "deep/a.parquet"


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("memory://", "/a.parquet"),
        ("memory://x", "/x/a.parquet"),
        ("memory://x/", "/x/a.parquet"),
        ("/", "/a.parquet"),
        ("/x//", "/x/a.parquet"),
        ("file:///x", "/x/a.parquet"),
        ("x", f"{Path.cwd()}/x/a.parquet"),
        ("x/", f"{Path.cwd()}/x/a.parquet"),
        ("file:x", f"{Path.cwd()}/x/a.parquet"),
        ("x:y", f"{Path.cwd()}/x:y/a.parquet"),
        ("", f"{Path.cwd()}/a.parquet"),
        (".", f"{Path.cwd()}/a.parquet"),
        ("~/x", f"{Path.home()}/x/a.parquet"),
    ],
)
def test_paths(root: str, path: str) -> None:
    folder = Folder(root)
    assert folder.path("a.parquet") == path
    assert folder._name(path) == "a.parquet"
    assert (folder.local is None) == root.startswith("memory")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with everything in it that a folder may have."""
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "in/a").write_bytes(b"0123456789")
    (tmp_path / "in/deep/b c").write_bytes(b"b")
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "in/a")
    (tmp_path / "folder").symlink_to(tmp_path / "in/deep")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    return tmp_path


def contents(fs: Any, path: str) -> Any:
    with fs.open(path, "rb") as file:
        return file.read()


ASKED: list[Callable[[Any, str], Any]] = [
    lambda fs, path: fs.exists(path),
    lambda fs, path: fs.isfile(path),
    lambda fs, path: bool(fs.info(path)),
    lambda fs, path: fs.size(path),
    lambda fs, path: sorted(fs.find(path)) if not fs.isfile(path) else None,
    lambda fs, path: sorted((str(at), sorted(files)) for at, _, files in fs.walk(path)),
    contents,
    lambda fs, path: fs.cat_file(path, start=3, end=99),
]


@pytest.mark.parametrize("below", ["", "in", "in/a", "in/deep", "empty", "link", "folder", "dangling", "none", "in/a/b"])  # fmt: skip
def test_local_files_are_what_fsspec_says(place: Path, below: str) -> None:
    """The same answers, or the same errors."""
    path = f"{place}/{below}".rstrip("/")

    def answers(fs: Any) -> list[Any]:
        found = []
        for ask in ASKED:
            try:
                found.append(ask(fs, path))
            except OSError as error:
                found.append(type(error))
        return found

    fs, as_fsspec_says = fsspec.core.url_to_fs(path)
    assert (fs.protocol, as_fsspec_says) == (LocalFiles.protocol, local_path(path))
    assert answers(LocalFiles()) == answers(fs)


def test_a_local_folder_needs_no_fsspec() -> None:
    code = (
        "import sys\nfrom pipeline.reconstruct.folder import Folder\nFolder('.').names('', '.none')\n"
        "print('fsspec' in sys.modules)\nFolder('memory://x').names('', '')\nprint('fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_file_at_the_root_and_in_the_working_folder(
    world: Any, memory: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = world.corpus({"a.parquet": 3})
    upload("memory://", source)
    folder, files = inputs("memory://a.parquet", lambda *_: None)
    assert [f.name for f in files] == ["a.parquet"]
    with folder.parquet("a.parquet") as parquet:
        assert parquet.metadata.num_rows == 3
    monkeypatch.chdir(source)
    _, files = inputs("a.parquet", lambda *_: None)
    assert files[0].rows == 3


def test_links_are_followed_to_files(world: Any, tmp_path: Path) -> None:
    """A snapshot in the cache of the Hub is a folder of links."""
    source = world.corpus({"a.parquet": 3})
    (tmp_path / "snapshot/data").mkdir(parents=True)
    (tmp_path / "snapshot/data/b.parquet").symlink_to(source / "a.parquet")
    folder, files = inputs(str(tmp_path / "snapshot"), lambda *_: None)
    assert [(f.name, f.rows) for f in files] == [("data/b.parquet", 3)]
    with folder.parquet("data/b.parquet") as parquet:
        assert parquet.metadata.num_rows == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.parquet", False),
        ("a/_b.parquet", True),
        ("_a/b.parquet", True),
        (".a/b", True),
        ("a_b/c.d", False),
    ],
)
def test_hidden(name: str, expected: bool) -> None:
    assert hidden(name) is expected


def test_the_tail_tells_files_of_one_size_apart(tmp_path: Path) -> None:
    def tail(values: list[int], name: str) -> str:
        pq.write_table(pa.table({"a": values}), tmp_path / name, compression="none")
        return inputs(str(tmp_path / name), lambda *_: None)[1][0].tail

    assert tail([1, 2, 3], "a.parquet") == tail([1, 2, 3], "b.parquet")
    assert tail([1, 2, 3], "a.parquet") != tail([1, 2, 4], "b.parquet")


# -- files that appear whole or not at all ----------------------------------------------------------


def test_replacing(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert hidden(temporary.name)
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_replacing_without_writing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "old"


def test_leftovers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in (".x.tmp", "a/.y.z.tmp", "keep.tmp", "a/.keep"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")} == {
        "a",
        "keep.tmp",
        "a/.keep",
    }


def test_a_relative_folder_is_the_same_in_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may run elsewhere; what it says of the folder is what the caller wrote."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    frozen = pickle.dumps(Folder("out"))
    monkeypatch.chdir(tmp_path / "there")
    again = pickle.loads(frozen)
    assert (again.local, again.root) == (tmp_path / "out", "out")
    assert pickle.loads(pickle.dumps(again)).local == tmp_path / "out"
    assert pickle.loads(pickle.dumps(Folder("memory://x"))).root == "memory://x"
