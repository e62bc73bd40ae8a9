"""The folders of the simulated disk: names as processes see them, and what of them a power cut leaves."""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from walnut.testing.sim.disk import File


class Change(msgspec.Struct, frozen=True):
    """A change of names: `what` at `path`, of the file or to the target; `synced`: a folder of two that was."""

    what: Literal["file", "folder", "rename", "remove"]
    path: str
    file: int = 0
    target: str = ""
    synced: str = ""

    def after(self, folder: str) -> Change | None:
        """What waits once the folder was synced: nothing, or itself until its other folder is."""
        folders = {parent(self.path), parent(self.target or self.path)}
        if folder not in folders or self.synced == folder:
            return self
        return None if len(folders) == 1 or self.synced else msgspec.structs.replace(self, synced=folder)


class Names:
    """Files and folders by path; `files` by number. Changes wait in order until their folder is synced."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self.paths: dict[str, int] = {}
        self.folders: set[str] = {"/"}
        self._sure_paths: dict[str, int] = {}
        self._sure_folders: set[str] = {"/"}
        self._waiting: list[Change] = []
        self._next = 1

    def copy(self) -> Names:
        """Another one, with files of its own."""
        other = Names()
        other.files = {number: file.copy() for number, file in self.files.items()}
        other.paths, other.folders = dict(self.paths), set(self.folders)
        other._sure_paths, other._sure_folders = dict(self._sure_paths), set(self._sure_folders)
        other._waiting, other._next = list(self._waiting), self._next
        return other

    # -- as processes see them --------------------------------------------------------------------------------

    def at(self, path: str) -> File | None:
        """The file of this name."""
        number = self.paths.get(path)
        return None if number is None else self.files[number]

    def create(self, path: str) -> File:
        """A new, empty file."""
        file = self.files[self._next] = File(self._next)
        self._next += 1
        self._change(Change("file", path, file.number))
        return file

    def make_folder(self, path: str) -> None:
        """A new folder."""
        self._change(Change("folder", path))

    def rename(self, source: str, target: str) -> None:
        """Atomically."""
        self._change(Change("rename", source, self.paths[source], target))

    def remove(self, path: str) -> None:
        """The name goes; the file stays while it is open."""
        self._change(Change("remove", path))

    def entries(self, folder: str) -> list[str]:
        """Names in a folder, sorted."""
        inside = folder.rstrip("/") + "/"
        found = [path for path in (*self.paths, *self.folders) if path.startswith(inside) and len(path) > len(inside)]
        return sorted(path[len(inside) :] for path in found if "/" not in path[len(inside) :])

    def _change(self, change: Change) -> None:
        self._waiting.append(change)
        before = self.paths.get(change.target or change.path)
        _apply(change, self.paths, self.folders)
        for number in (before, change.file):
            if number:
                self.files[number].links = sum(each == number for each in self.paths.values())

    # -- as the disk has them ---------------------------------------------------------------------------------

    def sync(self, folder: str, *, ordered: bool) -> None:
        """What was changed in the folder is sure; with a journal all that was changed before that, too."""
        after = [change.after(folder) for change in self._waiting]
        if ordered:
            mine = [number for number, change in enumerate(self._waiting) if after[number] is not change]
            self._settle(set(range(mine[-1] + 1)) if mine else set())
        else:
            self._waiting = [each or change for each, change in zip(after, self._waiting, strict=True)]
            self._settle({number for number, each in enumerate(after) if each is None})

    def _settle(self, sure: set[int]) -> None:
        for number in sorted(sure):
            _apply(self._waiting[number], self._sure_paths, self._sure_folders)
        self._waiting = [change for number, change in enumerate(self._waiting) if number not in sure]

    def cut(self, rng: random.Random, *, ordered: bool) -> None:
        """Lose power."""
        count = len(self._waiting)
        if ordered:
            kept = set(range(rng.choice((0, count, rng.randint(0, count)))))
        else:
            share = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))
            kept = {number for number in range(count) if rng.random() < share}
        self._settle(kept)
        self._waiting = []
        folders = self._sure_folders
        while True:  # who lost its folder is lost
            orphans = {path for path in folders if path != "/" and parent(path) not in folders}
            if not orphans:
                break
            folders -= orphans
        self._sure_paths = {path: number for path, number in self._sure_paths.items() if parent(path) in folders}
        self.paths, self.folders = dict(self._sure_paths), set(folders)
        self.files = {number: self.files[number] for number in self.paths.values()}
        for number, file in self.files.items():
            file.links = sum(each == number for each in self.paths.values())


def _apply(change: Change, paths: dict[str, int], folders: set[str]) -> None:
    """Do it, or what is left of it when what it rests on was lost."""
    if change.what == "folder":
        folders.add(change.path)
    elif change.what == "file":
        paths[change.path] = change.file
    elif change.what == "remove":
        paths.pop(change.path, None)
    else:
        if paths.get(change.path) == change.file:
            del paths[change.path]
        paths[change.target] = change.file


def parent(path: str) -> str:
    """The folder that a path lies in."""
    return path.rpartition("/")[0] or "/"
