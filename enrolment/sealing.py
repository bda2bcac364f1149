"""What the templates of a record are bound to, and how they are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.sealed import Binding
from biometrics.store import NewTemplate

if TYPE_CHECKING:
    from biometrics.custody import Vault
    from biometrics.members import Member
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
        member=holder,
        gallery=space.name,
        record=record_id,
        modality=space.modality.value,
        space=space.identity,
        position=position,
        sample=sample,
        generation=generation,
    )


def seal_template(
    vault: Vault,
    template: Template,
    *,
    holder: Member,
    record_id: bytes,
    sample: int,
    generation: int,
) -> NewTemplate:
    """Return a template as it is to be stored.

    Raises:
        GalleryLockedError: the holder is locked.
    """
    binding = template_binding(
        holder=holder,
        record_id=record_id,
        space=template.space,
        position=template.position.value,
        sample=sample,
        generation=generation,
    )
    return NewTemplate(
        space=template.space.name,
        position=template.position.value,
        modality=template.space.modality.value,
        sample=sample,
        quality=template.quality,
        sealed=vault.seal(binding, template.values.data),
    )
