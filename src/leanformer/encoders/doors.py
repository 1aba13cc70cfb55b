"""The package door: after `import leanformer`, transformers' auto classes load compressed models.

Registering the classes needs transformers and torch, whose import takes seconds, and must not happen while
transformers itself is being imported. So it waits until a type of ours is looked up: when transformers imports
its table of model types, the part for added types is replaced by one that registers ours at the first question.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

TABLE = "transformers.models.auto.configuration_auto"
PREFIX = "leanformer-"


class _AddedTypes(dict[str, Any]):
    """Model types added to transformers' own; asked for one of ours, it registers them first."""

    def __contains__(self, key: object) -> bool:
        """Whether a model type was added."""
        if isinstance(key, str) and key.startswith(PREFIX) and not super().__contains__(key):
            import leanformer.encoders.lean  # noqa: F401  (registers on import)
        return super().__contains__(key)


class _TableLoader(Loader):
    """Loads transformers' table as its own loader does, then makes it aware of our types."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the creation to the module's own loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then add our types."""
        self.loader.exec_module(module)
        _extend(module)


class _Watcher(MetaPathFinder):
    """Finds the table's module, once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec with a loader that adds our types."""
        if fullname != TABLE:
            return None
        sys.meta_path.remove(self)  # so that the next line does not come here again
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _TableLoader(spec.loader)
        return spec


def open_package_door() -> None:
    """Let transformers' auto classes know compressed models, without importing anything heavy now."""
    if TABLE in sys.modules:
        _extend(sys.modules[TABLE])
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


def _extend(table: ModuleType) -> None:
    mapping = table.CONFIG_MAPPING
    mapping._extra_content = _AddedTypes(mapping._extra_content)
