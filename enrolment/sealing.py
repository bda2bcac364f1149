"""What the templates of a record are bound to, and how they are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.sealed import Binding
from biometrics.store import NewTemplate

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.sealed import Sealed
    from biometrics.templates import Template, TemplateSpace


def template_binding(
    *,
    holder: Member,
    record_id: bytes,
    space: TemplateSpace,
    position: str,
    sample: int,
    generation: int,
) -> Binding:
    """Return what a template of a record is bound to."""
    return Binding(
        holder,
        space.name,
        record_id,
        space.modality.value,
        space.identity,
        position,
        sample,
        generation,
    )


def binding_of(
    template: Template,
    *,
    holder: Member,
    record_id: bytes,
    sample: int,
    generation: int,
) -> Binding:
    """Return what a template that is to be stored is bound to."""
    return template_binding(
        holder=holder,
        record_id=record_id,
        space=template.space,
        position=template.position.value,
        sample=sample,
        generation=generation,
    )


def new_template(template: Template, sample: int, sealed: Sealed) -> NewTemplate:
    """Return a template as it is to be stored."""
    space = template.space
    return NewTemplate(
        space.name,
        template.position.value,
        space.modality.value,
        sample,
        template.quality,
        sealed,
    )
