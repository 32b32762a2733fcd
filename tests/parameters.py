"""The parameters of a function, with the options that it takes as `**options: Unpack[…]`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from inspect import Parameter
from typing import Any, Final, get_args

from checkpoint_base.cache.options import CacheOptions, CacheSettings
from checkpoint_base.saver.options import CommonSaverOptions, SaverOptions, SaverSettings
from store_vector.options import StoreOptions, StoreSettings

SETTINGS: Final[dict[Any, Any]] = {
    CommonSaverOptions: SaverSettings,
    SaverOptions: SaverSettings,
    StoreOptions: StoreSettings,
    CacheOptions: CacheSettings,
}


def parameters_of(call: Callable[..., Any]) -> list[Parameter]:
    """The parameters that callers can use; each option is one that takes a keyword."""
    return [
        one for each in inspect.signature(call).parameters.values() for one in _expanded(call, each)
    ]


def _expanded(call: Any, parameter: Parameter) -> Iterator[Parameter]:
    if parameter.kind is not Parameter.VAR_KEYWORD:
        yield parameter
        return
    function = call.__init__ if inspect.isclass(call) else inspect.unwrap(call)
    names = vars(sys.modules[function.__module__])
    (options,) = get_args(eval(parameter.annotation, names))
    for name in options.__optional_keys__:
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=_default(SETTINGS[options], name))


def _default(settings: Any, name: str) -> Any:
    """What stands for an option that is not given: None, if None is the same as not given."""
    if settings.of({name: None}) == settings.of({}):
        return None
    return next(field.default for field in fields(settings) if field.name == name)
