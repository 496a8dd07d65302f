"""A TUF repository as a folder of static files, which any web server can host.

Every change adds files under new names, each whole or not at all, and replaces ``timestamp.json`` last
(TUF specification 6): a crash at any moment leaves the old state or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Self, cast

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, Targets

from filter.compile import AUDIENCES
from filter_service.publishing import files, pruning, roots, signing
from filter_service.publishing.errors import (
    TooFewSignatures,
    UnusableProposal,
    UnusableRepository,
)
from filter_service.publishing.keys import OnlineKeys
from filter_service.publishing.layout import AUDIENCE, METADATA, TARGETS, TARGETS_VALID, TIMESTAMP
from filter_service.publishing.moments import whole_seconds
from filter_service.publishing.online import OnlineMetadata, fits, signed_online
from filter_service.publishing.state import Published, Status, location, published
from filter_service.publishing.targets import Described, target_files


class Repository:
    """The repository of one audience below a base folder: ``BASE/public`` or ``BASE/operators``."""

    def __init__(self, base: Path, audience: str) -> None:
        """Open it.

        Raises:
            UnusableRepository: there is none.
        """
        self.audience = audience
        self.folder = _folder(base, audience)
        self._metadata = self.folder / METADATA
        if not (self._metadata / "1.root.json").is_file():
            raise UnusableRepository(f"{self.folder} is no repository: create it first.")

    @classmethod
    def create(cls, base: Path, audience: str, root: bytes) -> Self:
        """Make a repository with nothing published yet.

        Args:
            base: the folder above those of the audiences.
            audience: ``public`` or ``operators``.
            root: root metadata of version 1, signed; the same for both audiences.

        Raises:
            UnusableRepository: there is one already.
            UnusableProposal: it is not version 1.
            TooFewSignatures: fewer than two root keys signed.
        """
        if roots.verified(root).signed.version != 1:
            raise UnusableProposal("A repository begins with root version 1: name that one.")
        folder = _folder(base, audience)
        if (folder / METADATA / "1.root.json").exists():
            raise UnusableRepository(f"{folder} is a repository already: open it.")
        for part in (METADATA, TARGETS):
            (folder / part).mkdir(parents=True, exist_ok=True)
        files.write(folder / METADATA / "1.root.json", root)
        return cls(base, audience)

    @property
    def root(self) -> bytes:
        """The root metadata in force: the last of the unbroken row of versions."""
        version = 1
        while (self._metadata / f"{version + 1}.root.json").is_file():
            version += 1
        return (self._metadata / f"{version}.root.json").read_bytes()

    def status(self) -> Status:
        """What is published, and when somebody must sign again.

        Raises:
            UnusableRepository: nothing is published yet, or it is damaged.
        """
        return Status.of(roots.parsed(self.root).signed, self._required())

    def prepare(
        self, proposal: Path, targets: Mapping[str, Described] | None, now: datetime
    ) -> signing.Summary:
        """Write targets metadata to be signed, with the files it names, into a folder.

        Args:
            proposal: the folder, for instance on a stick.
            targets: all that is to be published, by name (`bundle_target`); whatever else is published
                now is superseded. `None` stands for what is published now, to be signed again.
            now: the moment from which it is valid for 275 days, with time zone.

        Raises:
            RefusedTarget: a target that must not be published.
            UnusableRepository: nothing is published yet that could be signed again.
            UnusableProposal: the folder holds a proposal already.
        """
        if targets is None:
            targets = {
                name: (self.folder / location(name, target.hashes), target.custom or {})
                for name, target in self._required().targets.signed.targets.items()
            }
        current = self._published()
        before = current.targets.signed if current else None
        signed = Targets(
            version=before.version + 1 if before else 1,
            expires=whole_seconds(now) + TARGETS_VALID,
            targets=target_files(targets, self.audience, before),
            unrecognized_fields={AUDIENCE: self.audience},
        )
        sources = {name: path for name, (path, _) in targets.items()}
        signing.propose(proposal, Metadata(signed).to_bytes(), sources)
        return signing.summary(proposal)

    def finish(self, proposal: Path, online: OnlineKeys, now: datetime) -> Status:
        """Publish a signed proposal; one that is published already changes nothing.

        So whoever publishes for several audiences and is interrupted calls all of them again.

        Raises:
            TooFewSignatures: fewer than two targets keys of the root in force signed.
            UnusableProposal: its files are other ones, or it was prepared for another state.
            UnusableKey: an online key is not one of the root in force.
        """
        with self._locked():
            current = self._published()
            proposed = signing.read(proposal)
            if current is not None and proposed.signed == current.targets.signed:
                return self.status()
            metadata = self._checked(proposed, current, now)
            octets = metadata.to_bytes()
            made = signed_online(
                roots.parsed(self.root).signed,
                metadata,
                octets,
                current,
                audience=self.audience,
                keys=[online],
                now=now,
            )
            for name, target in metadata.signed.targets.items():
                files.copy(proposal / name, self.folder / location(name, target.hashes))
            files.write(self._metadata / f"{metadata.signed.version}.targets.json", octets)
            self._write_online(made)
            self._prune(now)
        return self.status()

    def publish(
        self,
        targets: Mapping[str, Described],
        signers: Iterable[Signer],
        online: OnlineKeys,
        now: datetime,
    ) -> Status:
        """`prepare`, sign and `finish` in one step, for development: all keys are on one machine.

        Raises:
            PublishingError: as these three.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.prepare(Path(folder), targets, now)
            for signer in signers:
                signing.sign(Path(folder), signer)
            return self.finish(Path(folder), online, now)

    def refresh(self, online: OnlineKeys, now: datetime) -> Status:
        """Sign snapshot and timestamp again for 14 days, and remove superseded files.

        Raises:
            UnusableRepository: nothing is published yet, or what is does not fit the root.
            UnusableKey: an online key is not one of the root in force.
        """
        with self._locked():
            current = self._required()
            root = roots.parsed(self.root).signed
            if not fits(root, current.targets):
                raise UnusableRepository(
                    f"The targets metadata in {self.folder} is not signed by enough keys of the root"
                    " in force: prepare, sign and finish it again."
                )
            made = signed_online(
                root,
                current.targets,
                current.targets_octets,
                current,
                audience=self.audience,
                keys=[online],
                now=now,
            )
            self._write_online(made)
            self._prune(now)
        return self.status()

    def rotate(
        self,
        root: bytes,
        online: OnlineKeys,
        now: datetime,
        *,
        previous: OnlineKeys | None = None,
        allow_gap: bool = False,
    ) -> None:
        """Put a new root version in force. Called for both audiences with the same root.

        With ``previous`` there is no moment at which a client fails: snapshot and timestamp are first
        signed by old and new keys. Without it (the old keys are lost) clients keep what they have for
        the moment between two files. Called again after a crash, it completes what was begun.

        Args:
            root: the next version (`roots.next_root`), signed.
            online: the online keys that the new root names.
            now: the present moment, with time zone.
            previous: the online keys that the root in force names, where they are replaced.
            allow_gap: go on although the targets metadata does not fit the new root. Until newly
                signed targets are finished, clients keep what they have and report an error.

        Raises:
            TooFewSignatures: of the root, or of the targets metadata under the new root.
            UnusableProposal: it is not the version after the one in force.
            UnusableKey: an online key is not one of its root.
        """
        with self._locked():
            in_force = roots.parsed(self.root)
            resumed = root == self.root
            new = in_force if resumed else roots.verified(root, in_force)
            written = self._metadata / f"{new.signed.version}.root.json", root
            current = self._published()
            if current is None:
                files.write(*written)
                return
            if not fits(new.signed, current.targets) and not allow_gap:
                raise TooFewSignatures(
                    "The published targets metadata would lack signatures under the new root: prepare,"
                    " sign with the keys that stay, and finish it first."
                )
            # Ed25519 signatures are deterministic: under either root the same octets are made, or
            # refused.
            for judge in [new.signed] if previous is None else [in_force.signed, new.signed]:
                made = signed_online(
                    judge,
                    current.targets,
                    current.targets_octets,
                    current,
                    audience=self.audience,
                    keys=[online] if previous is None else [online, previous],
                    now=now,
                )
            if previous is None:
                self._write_online(made, root=written)
            else:
                self._write_online(made)
                files.write(*written)
            self._prune(now)

    def prune(self, now: datetime) -> list[str]:
        """Remove files that were superseded 24 hours ago; to be called every day.

        Returns:
            What was removed, relative to the folder.
        """
        with self._locked():
            return self._prune(now)

    def _checked(
        self, metadata: Metadata[Targets] | Metadata[Root], current: Published | None, now: datetime
    ) -> Metadata[Targets]:
        """A proposal's metadata, if it may be published next."""
        signed = metadata.signed
        if not isinstance(signed, Targets):
            raise UnusableProposal("This proposal is a root: rotate with it, or create with it.")
        if signed.unrecognized_fields.get(AUDIENCE) != self.audience:
            raise UnusableProposal(
                f"This proposal is not for {self.audience}: finish it where it was prepared."
            )
        expected = current.targets.signed.version + 1 if current else 1
        if signed.version != expected:
            raise UnusableProposal(
                f"This proposal is for targets version {signed.version}, the next one is {expected}:"
                " prepare and sign again."
            )
        if signed.is_expired(now):
            raise UnusableProposal("This proposal has expired: prepare and sign again.")
        result = roots.parsed(self.root).signed.get_verification_result(
            "targets", metadata.signed_bytes, metadata.signatures
        )
        if not result.verified:
            raise TooFewSignatures(
                f"{len(result.signed)} of {result.threshold} targets keys have signed:"
                " take the proposal to another custodian."
            )
        return cast("Metadata[Targets]", metadata)

    def _locked(self) -> AbstractContextManager[None]:
        return files.locked(self.folder / ".lock")

    def _prune(self, now: datetime) -> list[str]:
        current = self._published()
        return [] if current is None else pruning.prune(self.folder, current.in_use, now)

    def _published(self) -> Published | None:
        return published(self.folder, self.audience)

    def _required(self) -> Published:
        current = self._published()
        if current is None:
            raise UnusableRepository(f"Nothing is published in {self.folder} yet: publish first.")
        return current

    def _write_online(self, made: OnlineMetadata, root: tuple[Path, bytes] | None = None) -> None:
        """Write the snapshot, then a root if there is one, then the timestamp."""
        files.write(self._metadata / f"{made.version}.snapshot.json", made.snapshot)
        if root is not None:
            files.write(*root)
        files.write(self._metadata / TIMESTAMP, made.timestamp)


def _folder(base: Path, audience: str) -> Path:
    if audience not in AUDIENCES:
        raise UnusableRepository(
            f"There is no audience {audience!r}: use {' or '.join(AUDIENCES)}."
        )
    return base / audience
