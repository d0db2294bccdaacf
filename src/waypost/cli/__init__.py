"""The ``waypost`` command: one file a subcommand.  What is heavy is imported when a command runs, never here."""

from __future__ import annotations

import sys

import typer

from waypost.cli import keys, models, output
from waypost.cli.argv import spread
from waypost.cli.audit import audit
from waypost.cli.calibrate import calibrate
from waypost.cli.canary import canary
from waypost.cli.check_config import check_config
from waypost.cli.collect import collect
from waypost.cli.estimate import estimate
from waypost.cli.eval import eval_
from waypost.cli.extend import extend
from waypost.cli.import_ import import_
from waypost.cli.init import init
from waypost.cli.migrate import migrate
from waypost.cli.report import report
from waypost.cli.route import route
from waypost.cli.serve import serve
from waypost.cli.shadow import shadow
from waypost.cli.systems import systems
from waypost.cli.train import train
from waypost.errors import BadInput, WaypostError

app = typer.Typer(
    name="waypost",
    help="Sends each prompt to the model that answers it well enough for the least.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init)
app.add_typer(models.app, name="models")
app.command("collect")(collect)
app.command("import")(import_)
app.command("train")(train)
app.command("extend")(extend)
app.command("eval")(eval_)
app.command("audit")(audit)
app.command("estimate")(estimate)
app.command("report")(report)
app.command("calibrate")(calibrate)
app.command("route")(route)
app.command("serve")(serve)
app.command("shadow")(shadow)
app.command("canary")(canary)
app.add_typer(keys.app, name="keys")
app.command("migrate")(migrate)
app.command("check-config")(check_config)
app.command("systems")(systems)


@app.callback(invoke_without_command=True)
def _root(context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        import waypost

        typer.echo(waypost.__version__)
        raise typer.Exit


def main() -> None:
    """Run a command; an error of ours, or of a file, is one line on stderr and exit code 2.

    With ``--json`` every error is also an object on stdout.
    """
    argv = spread(sys.argv[1:])
    json = "--json" in argv
    try:
        app(argv)
    except (WaypostError, OSError) as error:
        output.fail(error, json)
        sys.exit(2)
    except SystemExit as ended:
        # The parser has said on stderr what is wrong with the command line, and left while handling that error.
        misused = ended.__context__
        if json and misused is not None and hasattr(misused, "format_message"):
            output.fail_json(misused, misused.format_message(), BadInput.code)
        raise
