"""The GPUs of this machine, asked of the driver. Imports no torch."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping


def visible_gpus(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The NVIDIA GPUs that this process may use: their names, by what ``CUDA_VISIBLE_DEVICES`` calls them.

    ``environment`` has that variable: the process's own, or as it was before.

    Asked of the driver's own program: importing torch here would cost seconds, and hold memory on every GPU.
    """
    if shutil.which("nvidia-smi") is None:
        return {}
    listed = subprocess.run(["nvidia-smi", "-L"], check=False, capture_output=True, text=True).stdout
    present = dict(re.findall(r"^GPU (\d+): (.*?) \(UUID", listed, re.MULTILINE))
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None or not present:
        return present
    gpus = [gpu.strip() for gpu in allowed.split(",")]
    # As CUDA reads it: what stands behind an invalid entry does not count.
    end = next((place for place, gpu in enumerate(gpus) if gpu in ("", "-1")), len(gpus))
    return {gpu: present.get(gpu, gpu) for gpu in gpus[:end]}
