"""The package door: after `import leanformer`, transformers' auto classes load compressed models.

Registering needs transformers and torch, whose import takes seconds. So it waits for the first use of an auto class:
transformers imports its auto modules lazily, and a finder on `sys.meta_path` sees that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import ClassVar

AUTO_MODULES = tuple(
    f"transformers.models.auto.{name}_auto" for name in ("configuration", "modeling", "tokenization")
)


class _RegisteringLoader(Loader):
    """Loads a module as its own loader does, then registers the classes of compressed models.

    The auto modules import each other, and registering imports them all: so it is the outermost one that registers.
    """

    loading: ClassVar[list[str]] = []

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the creation to the module's own loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then register unless another auto module is still being loaded around it."""
        self.loading.append(module.__name__)
        try:
            self.loader.exec_module(module)
        finally:
            self.loading.remove(module.__name__)
        if not self.loading:
            _register()


class _Watcher(MetaPathFinder):
    """Finds the auto modules, each once."""

    def __init__(self) -> None:
        self.waiting = list(AUTO_MODULES)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec with a loader that registers afterwards."""
        if fullname not in self.waiting:
            return None
        self.waiting.remove(fullname)  # so that the next line does not come here again
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


def open_package_door() -> None:
    """Register the classes of compressed models now, or as soon as transformers' auto classes are imported."""
    if AUTO_MODULES[0] in sys.modules:
        _register()
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


def _register() -> None:
    carried = sys.modules.get("leanformer.encoders.carried")
    if carried is not None and not hasattr(carried, "LEAN_CLASSES"):
        return  # leanformer itself is importing transformers here; its own loaders register before they load
    import leanformer.encoders.lean  # noqa: F401  (registers on import)
