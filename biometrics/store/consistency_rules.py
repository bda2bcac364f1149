"""The rules of `biometrics.store.consistency`: each a question without an answer.

A rule is one question whose rows are what breaks it, so that the database does the work
in its own memory, and nothing here grows with the number of records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from biometrics import limits
from biometrics.sealed import REFERENCES

RESTORE: Final = "; the database is damaged or was edited, restore it from a backup"
_LOST: Final = f"{RESTORE}, and ask the holder to enrol the record again if it is new"


@dataclass(frozen=True, slots=True)
class Rule:
    """A question without an answer where all is well.

    Attributes:
        reason: of the faults.
        where: the place of one, with `{}` for each column of its row.
        told: what is wrong, and what to do.
        asked: the statement.
    """

    reason: str
    where: str
    told: str
    asked: str


RULES: Final = (
    Rule(
        "JOURNAL_GAP",
        "journal, before position {}",
        f"a change is missing{RESTORE}",
        "SELECT c.position FROM change c LEFT JOIN change b"
        " ON b.position = c.position - 1 WHERE c.position > 1 AND b.position IS NULL",
    ),
    Rule(
        "JOURNAL_GAP",
        "journal, {} changes up to position {}",
        f"the journal does not end where it was counted to end{RESTORE}",
        "SELECT n.changes, counter.journal_position FROM counter, (SELECT count(*) AS"
        " changes, coalesce(max(position), 0) AS last FROM change) AS n"
        " WHERE n.changes <> counter.journal_position"
        " OR n.last <> counter.journal_position",
    ),
    Rule(
        "COUNTER_DAMAGED",
        "table counter, {} rows",
        f"it must have one{RESTORE}",
        "SELECT n.rows FROM (SELECT count(*) AS rows FROM counter) AS n"
        " WHERE n.rows <> 1",
    ),
    Rule(
        "JOURNAL_DAMAGED",
        "journal, position {}",
        f"the change is of no kind, or names templates it cannot have taken{RESTORE}",
        "SELECT c.position FROM change c, counter WHERE"
        " c.kind NOT IN ('enrolled', 'withdrawn', 'locked', 'unlocked', 'rekeyed',"
        " 'rotated', 'destroyed')"
        " OR (c.kind <> 'withdrawn' AND (c.first_template IS NOT NULL"
        " OR c.templates IS NOT NULL))"
        " OR (c.first_template IS NULL) <> (c.templates IS NULL)"
        " OR c.templates NOT BETWEEN 1 AND :most_templates"
        " OR c.first_template < 1"
        " OR c.first_template + c.templates - 1 > counter.template_id",
    ),
    Rule(
        "REPEATED_CHANGE",
        "journal, position {}",
        f"the record was enrolled or withdrawn twice{RESTORE}",
        # A replacement enrols it again, and then withdraws what it was.
        "SELECT max(position) FROM change WHERE kind IN ('enrolled', 'withdrawn')"
        " GROUP BY member, record_id HAVING"
        " sum(CASE kind WHEN 'enrolled' THEN 1 ELSE -1 END) NOT IN (0, 1)",
    ),
    Rule(
        "TEMPLATE_LEFT_BEHIND",
        "template {}",
        "the withdrawal at position {} took it, and it is there: somebody withdrawn is"
        f" back{RESTORE}",
        "SELECT t.template_id, c.position FROM template t JOIN change c"
        " ON t.template_id BETWEEN c.first_template"
        " AND c.first_template + c.templates - 1 WHERE c.first_template IS NOT NULL",
    ),
    Rule(
        "WITHDRAWN_RECORD",
        "record {}",
        f"it was withdrawn by the change at position {{}}, and is back{RESTORE}",
        "SELECT r.number, max(c.position) FROM change c JOIN record r"
        " ON r.record_id = c.record_id AND r.member || '' = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn') GROUP BY r.number HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) < 1",
    ),
    Rule(
        "WITHDRAWN_REFERENCE",
        "record {}",
        f"its reference was withdrawn, and is live{RESTORE}",
        "SELECT r.number FROM tombstone t JOIN record r"
        " ON r.member = t.member AND r.lookup = t.lookup",
    ),
    Rule(
        "TOMBSTONE_MISSING",
        "table tombstone, member {}",
        "{} records were withdrawn, and fewer tombstones are there: a withdrawn"
        f" reference could be enrolled again{RESTORE}",
        "SELECT w.member, w.taken FROM (SELECT member, count(*) AS taken FROM"
        " (SELECT c.member, c.record_id FROM change c"
        " LEFT JOIN (SELECT member, max(position) AS last FROM change"
        " WHERE kind = 'destroyed' GROUP BY member) AS d ON d.member = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn')"
        " AND c.position > coalesce(d.last, 0)"
        " GROUP BY c.member, c.record_id HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) = 0) AS gone"
        " GROUP BY member) AS w WHERE w.taken >"
        " (SELECT count(*) FROM tombstone t WHERE t.member = w.member)",
    ),
    Rule(
        "ENROLMENT_MISSING",
        "record {}",
        f"no change of the journal says that it was enrolled{RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN change c ON c.position = r.number"
        " AND c.kind = 'enrolled' AND c.member = r.member"
        " AND c.record_id = r.record_id WHERE c.position IS NULL",
    ),
    Rule(
        "RECORD_MISSING",
        "journal, position {}",
        f"the record that it enrolled is neither there nor withdrawn{_LOST}",
        # Whatever was enrolled before a destruction went with it. Members are compared
        # as an expression: by its index of members SQLite would go through all records
        # of a member for each change, where it makes an index of ids for the purpose.
        "SELECT max(c.position) FROM change c LEFT JOIN record r"
        " ON r.record_id = c.record_id AND r.member || '' = c.member"
        " LEFT JOIN (SELECT member, max(position) AS last FROM change"
        " WHERE kind = 'destroyed' GROUP BY member) AS d ON d.member = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn') AND r.number IS NULL"
        " AND c.position > coalesce(d.last, 0)"
        " GROUP BY c.member, c.record_id HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) > 0",
    ),
    Rule(
        "WITHDRAWAL_OF_NOBODY",
        "journal, position {}",
        f"the record that it withdrew was never enrolled before{RESTORE}",
        "SELECT c.position FROM change c LEFT JOIN (SELECT member, record_id, position"
        " FROM change WHERE kind = 'enrolled') AS e ON e.record_id = c.record_id"
        " AND e.member = c.member AND e.position < c.position"
        " WHERE c.kind = 'withdrawn' AND e.position IS NULL",
    ),
    Rule(
        "TEMPLATES_MISSING",
        "record {}",
        f"it has no template{_LOST}",
        "SELECT r.number FROM record r LEFT JOIN template t"
        " ON t.record_number = r.number WHERE t.template_id IS NULL",
    ),
    Rule(
        "TEMPLATES_MISSING",
        "record {}",
        f"its templates are not those it was enrolled with{_LOST}",
        "SELECT record_number FROM template GROUP BY record_number HAVING"
        " min(template_id - sample) <> max(template_id - sample) OR min(sample) <> 0"
        " OR max(sample) <> count(*) - 1"
        " OR count(*) > :most_templates",
    ),
    Rule(
        "TEMPLATES_MISSING",
        "table template, {} numbers of {}",
        f"some templates are neither there nor withdrawn{_LOST}",
        # Neither does a withdrawal that schema 0001 wrote say how many went, nor a
        # destruction.
        "SELECT n.live + n.gone, counter.template_id FROM counter, (SELECT"
        " (SELECT count(*) FROM template) AS live,"
        " (SELECT coalesce(sum(templates), 0) FROM change) AS gone,"
        " (SELECT count(*) FROM change WHERE kind = 'withdrawn'"
        " AND templates IS NULL) + (SELECT count(*) FROM change"
        " WHERE kind = 'destroyed') AS untold) AS n"
        " WHERE n.live + n.gone > counter.template_id"
        " OR (n.untold = 0 AND n.live + n.gone < counter.template_id)",
    ),
    Rule(
        "WRONG_COUNT",
        "comparisons in `{}`",
        f"more templates are there than there ever were{RESTORE}",
        "SELECT g.space FROM gallery g LEFT JOIN comparison c ON c.space = g.space"
        " GROUP BY g.space HAVING sum(g.templates)"
        " - (SELECT count(*) FROM protection p JOIN template t"
        " ON t.record_number = p.record_number"
        " WHERE p.is_canary = 1 AND t.space = g.space)"
        " > coalesce(max(c.most), 0)",
    ),
    Rule(
        "UNKNOWN_WORD",
        "table {}, {}",
        f"it has a word that is none of those it may have{RESTORE}",
        "SELECT 'custody', member FROM custody"
        " WHERE state NOT IN ('open', 'locked', 'destroyed')"
        " UNION ALL SELECT 'membership', member FROM membership"
        " WHERE membership NOT IN ('active', 'suspended', 'left')"
        " UNION ALL SELECT 'tombstone', member FROM tombstone"
        " WHERE reason NOT IN ('withdrawn', 'expired')"
        " UNION ALL SELECT 'erasure', member FROM erasure"
        " WHERE kind NOT IN ('rotation', 'destruction')"
        " UNION ALL SELECT 'follow_up', requester FROM follow_up"
        " WHERE state NOT IN ('requested', 'confirmed', 'released', 'refused', 'read',"
        " 'expired') OR refusal NOT IN ('basis-insufficient', 'purpose-not-covered',"
        " 'request-not-proven', 'match-not-upheld', 'nothing-to-give', 'other')",
    ),
    Rule(
        "FOLLOW_UP_DAMAGED",
        "a follow-up of {} with {}",
        f"what there is of it does not go with its state, `{{}}`{RESTORE}",
        "SELECT f.requester, f.holder, f.state FROM follow_up f"
        " LEFT JOIN (SELECT follow_up_id, count(*) AS records FROM follow_up_record"
        " GROUP BY follow_up_id) AS r ON r.follow_up_id = f.follow_up_id"
        " WHERE (f.state = 'released') <> (f.payload IS NOT NULL)"
        " OR (f.state IN ('confirmed', 'released')) <> (f.confirmation IS NOT NULL)"
        " OR (f.state = 'refused') <> (f.refusal IS NOT NULL)"
        " OR (f.state IN ('requested', 'confirmed', 'released'))"
        " <> (r.records IS NOT NULL)",
    ),
    Rule(
        "TEMPLATE_ORPHANED",
        "template {}",
        f"it is of no record{RESTORE}",
        "SELECT t.template_id FROM template t LEFT JOIN record r"
        " ON r.number = t.record_number WHERE r.number IS NULL",
    ),
    Rule(
        "PROTECTION_MISSING",
        "record {}",
        "what protects it is missing: its gallery is UNAVAILABLE to whom it matches"
        f"{RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN protection p"
        " ON p.record_number = r.number WHERE p.record_number IS NULL",
    ),
    Rule(
        "WRONG_KEY",
        "template {}",
        f"it names a key of another gallery, or of none{RESTORE}",
        "SELECT t.template_id FROM template t JOIN record r"
        " ON r.number = t.record_number LEFT JOIN gallery_key k ON k.key_id = t.key_id"
        " AND k.member = r.member AND k.gallery = t.space WHERE k.key_id IS NULL",
    ),
    Rule(
        "WRONG_KEY",
        "record {}",
        f"its reference names a key of another gallery, or of none{RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN gallery_key k"
        " ON k.key_id = r.reference_key_id AND k.member = r.member"
        " AND k.gallery = :of_references WHERE k.key_id IS NULL",
    ),
    Rule(
        "WRONG_COUNT",
        "gallery of {} in `{}`",
        f"{{}} templates of {{}} records are counted, {{}} of {{}} are there{_LOST}",
        "SELECT n.member, n.space, sum(n.told), sum(n.told_records), sum(n.held),"
        " sum(n.held_records) FROM ("
        "SELECT member, space, templates AS told, records AS told_records,"
        " 0 AS held, 0 AS held_records FROM gallery"
        " UNION ALL SELECT r.member, t.space, 0, 0, count(*),"
        " count(DISTINCT r.number) FROM template t JOIN record r"
        " ON r.number = t.record_number GROUP BY r.member, t.space) AS n"
        " GROUP BY n.member, n.space HAVING sum(n.told) <> sum(n.held)"
        " OR sum(n.told_records) <> sum(n.held_records)",
    ),
)

# What the questions name.
VALUES: Final = {
    "most_templates": limits.MAX_TEMPLATES_PER_RECORD,
    "of_references": REFERENCES,
    "most": limits.MAX_FAULTS_A_QUESTION + 1,
}
