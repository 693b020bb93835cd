"""`mngen schema`: the JSON Schema of the spec."""

import typer


def schema() -> None:
    """Print the JSON Schema of the spec.

    Editors use it to explain and complete the keys of mngen.yaml.
    """
    import json

    from mngen import spec

    typer.echo(json.dumps(spec.schema(), indent=2))
