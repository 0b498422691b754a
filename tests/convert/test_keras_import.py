"""Settings of Keras under which nothing here would work."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from convert.errors import InputError
from convert.keras_import import import_keras


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("image_data_format", "channels_first", r"image_data_format is channels_first; expected channels_last"),
        ("floatx", "float16", r"floatx is float16; expected float32"),
        ("dtype_policy", "mixed_float16", r"dtype policy of Keras is mixed_float16; expected float32"),
    ],
)
def test_a_setting_that_cannot_work_is_one_line(setting, value, words):
    change = getattr(keras.config, f"set_{setting}")
    before = keras.config.dtype_policy() if setting == "dtype_policy" else getattr(keras.config, setting)()
    change(value)
    try:
        with pytest.raises(InputError, match=words) as raised:
            import_keras()
    finally:
        change(before)
    assert "\n" not in str(raised.value)
    assert import_keras() is keras


@pytest.mark.parametrize("way", ["variable", "file"])
def test_a_backend_that_is_not_installed(way, tmp_path, monkeypatch):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "nonsense"} if way == "file" else {}))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if way == "variable":
        monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    else:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
    code = "from convert.keras_import import import_keras\ntry: import_keras()\nexcept Exception as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    where = "KERAS_BACKEND" if way == "variable" else str(tmp_path / "keras.json")
    assert done.stdout.startswith(f"{where}: the backend nonsense of Keras cannot be imported")
    assert done.stdout.strip().endswith("expected tensorflow") and done.stderr == ""


WITHOUT_A_FILE = """
import os, resource, sys, tempfile
from convert.keras_import import held_back_stderr
if sys.argv[1] == "files":
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), 64))
else:
    tempfile.tempdir = "/nowhere"
with held_back_stderr():
    os.write(2, b"from C++")
print("done")
"""


@pytest.mark.parametrize(
    ("what", "number", "told"), [("files", 64, ""), ("files", 4, "from C++"), ("folder", 0, "from C++")]
)
def test_without_a_file_to_hide_it_in_it_is_shown(what, number, told):
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_FILE, what, str(number)], capture_output=True, text=True, cwd=root, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", told)
