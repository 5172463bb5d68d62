# SPDX-License-Identifier: BSD-3-Clause
"""The command line in French and English; what programs read is the same in every language."""
import json
import os
import re
import subprocess

import pytest

NBSP = "\u00a0"


def run(program, *words, **environment):
    """Of the environment's own, only what finds programs."""
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], **{name: os.environ[name] for name in os.environ if "SAN_" in name},
                               **environment})


def unwrapped(text):
    """Without the ends of lines, which are where they happen to be."""
    return re.sub("[ \n]+", " ", text)


@pytest.fixture(scope="module")
def pontlevis(build):
    return f"{build}/control/cli/pontlevis"


# The locale need not be installed; LANGUAGE goes before it.
FRENCH = ({"LC_ALL": "C.UTF-8", "LANGUAGE": "fr"}, {"LC_ALL": "fr_FR.UTF-8"}, {"LC_MESSAGES": "fr_FR.UTF-8"},
          {"LANG": "fr_BE.UTF-8"}, {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "fr:en"})
ENGLISH = ({}, {"LC_ALL": "C"}, {"LC_ALL": "C", "LANGUAGE": "fr"}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "de_DE.UTF-8"},
           {"LC_ALL": "en_GB.UTF-8", "LANG": "fr_FR.UTF-8"})


@pytest.mark.parametrize("environment", FRENCH, ids=str)
def test_help_is_french_where_that_is_asked_for(pontlevis, environment):
    done = run(pontlevis, "--help", **environment)
    assert done.returncode == 0
    text = unwrapped(done.stdout)
    for words in (f"Usage{NBSP}: pontlevis", "Commandes", "Affiche cette aide", "config commit FICHIER",
                  f"Met en vigueur une configuration{NBSP}: tout ou rien", "processus de contrôle injoignable"):
        assert words in text, (words, done.stdout)
    assert "Content-Type" not in done.stdout, "that is the head of the catalogue"


@pytest.mark.parametrize("environment", ENGLISH, ids=str)
def test_help_is_english_otherwise(pontlevis, environment):
    done = run(pontlevis, "--help", **environment)
    assert done.returncode == 0 and "Put a configuration in force, all or nothing" in done.stdout
    assert done.stdout.isascii()


def test_every_command_has_its_help_in_french(pontlevis):
    listed = run(pontlevis, "--help", LC_ALL="fr_FR.UTF-8").stdout.split(f"Commandes{NBSP}:\n")[1].split("\n\n")[0].splitlines()
    too_long = [line for line in listed if not line.startswith("  ") and not line.startswith("NOM] [--peer NOM]")]
    assert len(listed) > 40 and not too_long, "a summary does not fit its line"
    for name in ("status", "config commit", "fence explain", "key generate", "events", "version"):
        done = run(pontlevis, *name.split(), "--help", LC_ALL="fr_FR.UTF-8")
        assert done.returncode == 0 and f"Usage{NBSP}: pontlevis {name}" in done.stdout
        assert "Options globales" in done.stdout and "Content-Type" not in done.stdout, done.stdout
        assert "control process" not in done.stdout, done.stdout


def test_wrong_usage_and_files_are_told_in_french(pontlevis, tmp_path):
    done = run(pontlevis, "config", "commit", LC_ALL="fr_FR.UTF-8")
    assert done.returncode == 2 and "il manque FICHIER" in done.stderr and "Essayez" in done.stderr, done.stderr
    done = run(pontlevis, "stats", "-T", "never", LC_ALL="fr_FR.UTF-8")
    assert done.returncode == 2 and f"de 1 à 86400, et non «{NBSP}never{NBSP}»" in done.stderr
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    done = run(pontlevis, "config", "commit", str(broken), LC_ALL="fr_FR.UTF-8")
    assert done.returncode == 2 and f"broken.json{NBSP}: n'est pas un objet JSON" in done.stderr
    key = tmp_path / "key"
    assert run(pontlevis, "key", "generate", str(key), LC_ALL="fr_FR.UTF-8").returncode == 0
    done = run(pontlevis, "key", "generate", str(key), LC_ALL="fr_FR.UTF-8")
    assert done.returncode == 1 and "existe déjà" in done.stderr
    done = run(pontlevis, "-s", str(tmp_path / "nobody"), "status", LC_ALL="fr_FR.UTF-8")
    assert done.returncode == 3 and "pontlevis-control est-il démarré" in done.stderr, done.stderr


def test_reports_are_french_and_what_the_process_says_is_not(running, pontlevis, tmp_path):
    def ask(*words, language="fr_FR.UTF-8"):
        return run(pontlevis, "-s", running.path, *words, LC_ALL=language)

    running.call("config.commit", config=running.document())
    text = ask("status").stdout
    assert f"! plan de données{NBSP}: non connecté" in text and "en vigueur" in text and "clé publique" in text
    assert "PROCHAIN SAUT" in ask("peers").stdout
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(running.document(tenants=[{"name": "x"}])))
    french, english = ask("config", "validate", str(bad)), ask("config", "validate", str(bad), language="C")
    assert french.returncode == english.returncode == 1
    assert f"config.validate refusé (-32002){NBSP}: " in french.stderr, french.stderr
    said = english.stderr.splitlines()[0].split("(-32002): ")[1]
    assert said in french.stderr, "the sentence of the process is not translated"
    assert "/tenants/0" in french.stderr
    for words in (("status", "--json"), ("peers", "-j"), ("config", "history", "--json"), ("methods", "--json")):
        one, other = ask(*words), ask(*words, language="C")
        assert one.returncode == 0 and one.stdout == other.stdout, words


def test_it_is_installed_with_its_catalogues(build, tmp_path):
    """Where the program was built for, in a mount namespace of its own."""
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", build], capture_output=True, text=True,
                                        check=True).stdout)
    prefix = next(option["value"] for option in options if option["name"] == "prefix")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", tmp_path], check=True,
                   capture_output=True, timeout=120)
    done = subprocess.run(["unshare", "--mount", "sh", "-c",
                           f"mount --bind {tmp_path}{prefix} {prefix} && {prefix}/bin/pontlevis status --help"],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "LC_ALL": "fr_FR.UTF-8", "LANGUAGE": ""})
    assert done.returncode == 0 and "sur un écran" in done.stdout, done
