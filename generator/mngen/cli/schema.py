"""`mngen schema`: the JSON Schema of the spec."""

import typer


def schema() -> None:
    """Print the JSON Schema of mngen.yaml, for editors that explain and complete its keys."""
    import json

    from mngen import spec

    typer.echo(json.dumps(spec.schema(), indent=2))
