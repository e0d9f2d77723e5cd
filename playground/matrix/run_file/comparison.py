"""Whether two runs are the same, so that one may be gone on with; if not, what they differ in."""

from .lines import Header, RunModel, Settings


def differences(found: Header, wanted: Header) -> list[str]:
    """What two headers differ in, in words; what only says when and where it ran does not count."""
    different: list[str] = []
    for name, words in (
        ("models", "its models"),
        ("settings", "its settings"),
        ("kinds", "its tasks"),
        ("languages", "its languages"),
        ("items", "its number of items"),
        ("seed", "its seed"),
    ):
        one, other = getattr(found, name), getattr(wanted, name)
        if one != other and not (name == "seed" and found.settings != wanted.settings):
            different.append(f"{words} ({_short(one)} there, {_short(other)} here)")
    if not different and found.tasks_hash != wanted.tasks_hash:
        different.append("the wording of its tasks (another version of Phi Playground)")
    engines = [
        f"{name} {found.versions.get(name, 'none')} there, {wanted.versions.get(name, 'none')} here"
        for name in sorted({*found.versions, *wanted.versions} - {"playground", "python"})
        if found.versions.get(name) != wanted.versions.get(name)
    ]
    if engines:
        different.append(f"the versions of its engines ({'; '.join(engines)})")
    return different


def _short(value: object) -> str:
    """A setting in a few words."""
    if isinstance(value, Settings):
        return (
            f"temperature {value.temperature:g}, max tokens {value.max_tokens}, seed {value.seed}"
        )
    if not isinstance(value, tuple):
        return str(value)
    every: list[str] = [
        f"{one.backend}/{one.model}" + (f" at {one.revision}" if one.revision else "")
        if isinstance(one, RunModel)
        else str(one)  # pyright: ignore
        for one in value  # pyright: ignore
    ]
    text = ", ".join(every)
    return text if len(text) <= 120 else f"{len(every)} of them: {text[:100]}…"
