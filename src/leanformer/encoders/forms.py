"""The forms of a model: other ways to compute the same logits, each of which may be faster on some machine."""

from __future__ import annotations

from typing import Any, Literal

from leanformer.encoders.families import family_of
from leanformer.encoders.first_token import first_token_only, reason_against, sharing_copy
from leanformer.encoders.lean import LEAN_CLASSES
from leanformer.errors import ModelError

# "first-token": the last layer for the first token only. "eager-attention": attention as separate operators, which
# runtimes fuse in their own way, instead of PyTorch's fused one. "": the model as it is.
Form = Literal["", "first-token", "eager-attention", "first-token+eager-attention"]
PLAIN: Form = ""
FORMS: tuple[Form, ...] = (PLAIN, "first-token", "eager-attention", "first-token+eager-attention")


def form_name(first_token: bool = False, eager_attention: bool = False) -> Form:
    """Name the form that has these parts.

    Args:
        first_token: The last layer for the first token only.
        eager_attention: Attention as separate operators.

    Returns:
        The form.
    """
    return FORMS[int(first_token) + 2 * int(eager_attention)]


def forms_within(first_token: bool = False, eager_attention: bool = False) -> tuple[Form, ...]:
    """List the forms that have no other parts than these: the plain one, and every combination of the given parts.

    Args:
        first_token: The last layer for the first token only.
        eager_attention: Attention as separate operators.

    Returns:
        The forms, the plain one first.
    """
    return tuple(
        form
        for form in FORMS
        if (first_token or "first-token" not in form) and (eager_attention or "eager-attention" not in form)
    )


def forms_for(config: Any) -> tuple[Form, ...]:
    """List the forms that compute the same as a sequence classifier with this configuration.

    Args:
        config: A transformers configuration, stock or lean.

    Returns:
        The plain form first, then the others of `FORMS` that apply.

    Raises:
        ModelError: The architecture is not supported.
    """
    return tuple(form for form in FORMS if _reason_against(config, form) is None)


def check_form(config: Any, form: str) -> None:
    """Refuse a form that there is not, or that would change what a sequence classifier answers.

    Args:
        config: The classifier's configuration.
        form: One of `FORMS`.

    Raises:
        ModelError: The form does not apply.
    """
    if reason := _reason_against(config, form):
        raise ModelError(reason)


def _reason_against(config: Any, form: str) -> str | None:
    if form not in FORMS:
        return f"There is no form '{form}': choose one of {', '.join(FORMS[1:])}."
    if "first-token" in form and (reason := reason_against(config)):
        return reason
    name = family_of(config).name
    if "eager-attention" in form and not LEAN_CLASSES[name]["AutoModel"]._supports_sdpa:
        return f"The attention of {name} is eager in every form: leave the form eager-attention out."
    return None


def in_form(model: Any, form: str) -> Any:
    """Return a sequence classifier in one of its forms.

    Args:
        model: A transformers sequence classifier, dense or lean; it stays as it is.
        form: One of `FORMS`.

    Returns:
        The model itself in the plain form, else a copy for inference that shares its weights.

    Raises:
        ModelError: The form does not apply to this model.
    """
    if form == PLAIN:
        return model
    check_form(model.config, form)
    if "eager-attention" in form:
        model = sharing_copy(model).eval()
        # Not by set_attn_implementation, which refuses lean classes with no more than a warning.
        model.config._attn_implementation = "eager"
    return first_token_only(model) if "first-token" in form else model
