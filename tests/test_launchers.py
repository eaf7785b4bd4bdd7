"""recipes/slurm.sh and recipes/sky.yaml: each node gets its own rank, and the arguments arrive as they were typed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

ROOT = Path(__file__).parents[1]
SRUN = """
while [[ $1 == --* ]]; do [[ $1 == --cpus-per-task=* ]] && export CPUS=${1#*=}; shift; done
for rank in 0 1; do SLURM_PROCID=$rank "$@"; done
"""
SLURM = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "123", "SLURM_GPUS_ON_NODE": "8"}
SLURM |= {"SLURM_CPUS_PER_TASK": "64"}


def what_make_runs(*words):
    """The commands of a target, as make prints them; the make that runs these tests keeps out of it."""
    others = ("MAKE", "MFLAGS", "CUDA_VISIBLE_DEVICES")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    command = ["make", "-n", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout.replace("\\\n", " ")


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path):
    """A folder with commands that say how they were called, in place of Slurm's and accelerate's."""
    script(tmp_path / "bin" / "srun", SRUN)
    script(tmp_path / "bin" / "scontrol", "printf 'node7\\nnode8\\n'")
    script(tmp_path / ".venv" / "bin" / "accelerate", 'printf \'%s|\' "$1" --cpus "${CPUS:-1}" "${@:2}"; echo')
    return tmp_path


def calls(place, command, **environment):
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", **environment}
    run = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [line.rstrip("|").split("|") for line in run.stdout.splitlines()]
    assert all(line[0] == "launch" for line in lines)
    options = [dict(zip(line[1::2], line[2::2], strict=False)) for line in lines]  # all of accelerate's have a value
    return lines, options


def test_slurm(place):
    typed = ["--config", "recipes/qwen2.5-32b.yaml", "--run_name", "two words"]
    lines, options = calls(place, [ROOT / "recipes" / "slurm.sh", *typed], **SLURM)
    assert [option["--machine_rank"] for option in options] == ["0", "1"]
    for line, option in zip(lines, options, strict=True):
        assert option["--cpus"] == "64"  # otherwise eight GPUs share one core
        assert (option["--num_machines"], option["--num_processes"]) == ("2", "16")
        assert (option["--main_process_ip"], option["--main_process_port"]) == ("node7", "20123")
        assert (ROOT / option["--config_file"]).exists()
        assert line[-5:] == ["recipes/grpo.py", *typed]


def test_before_its_time_limit_the_job_is_requeued_and_its_log_kept(place):
    text = (ROOT / "recipes" / "slurm.sh").read_text()
    directives = {line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")}
    assert {"--requeue", "--signal=B:USR1@600", "--open-mode=append", "--mem=0"} <= directives
    script(place / "bin" / "srun", f"touch {place}/training; sleep 60")
    script(place / "bin" / "scontrol", f'[[ $1 == show ]] && echo node7 || echo "$@" > {place}/asked')
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", **SLURM}
    job = subprocess.Popen([ROOT / "recipes" / "slurm.sh"], cwd=place, env=environment, start_new_session=True)
    try:
        while not (place / "training").exists():
            assert job.poll() is None
            time.sleep(0.01)
        job.send_signal(signal.SIGUSR1)
        job.wait(20)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
    assert (place / "asked").read_text() == "requeue 123\n"


def test_sky(place):
    task = yaml.safe_load((ROOT / "recipes" / "sky.yaml").read_text())
    assert task["num_nodes"] == 2
    for rank in "01":
        sky = {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NUM_GPUS_PER_NODE": "8", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2"}
        sky |= {"SKYPILOT_NODE_RANK": rank, "RECIPE": task["envs"]["RECIPE"]}
        (line,), (option,) = calls(place, ["bash", "-euc", task["run"]], **sky)
        assert option["--machine_rank"] == rank
        assert (option["--num_processes"], option["--main_process_ip"]) == ("16", "10.0.0.1")
        assert line[-5:] == ["recipes/grpo.py", "--config", "recipes/qwen2.5-32b.yaml", "--output_dir", "/shared/qwen2.5-32b"]
        assert (ROOT / line[-3]).exists()


@pytest.mark.parametrize(
    ("typed", "config", "options", "recipe"),
    [
        ("train-14b", "zero3", [], "qwen2.5-14b"),
        ("train-14b RECIPE=qwen3-14b GPUS=4", "zero3", ["--num_processes", "4"], "qwen3-14b"),
        ("train-14b CONFIG=zero3_offload", "zero3_offload", [], "qwen2.5-14b"),
        (
            "train-32b RANK=1 HEAD=10.0.0.1",
            "zero3_multinode",
            ["--machine_rank", "1", "--main_process_ip", "10.0.0.1"],
            "qwen2.5-32b",
        ),
        ("train-32b RECIPE=qwen2.5-32b-lora", "zero3", [], "qwen2.5-32b-lora"),
        ("train-1.5b", "single_gpu", [], "qwen2.5-1.5b"),
        ("train-1.5b CUDA_VISIBLE_DEVICES=3,4", "single_gpu", ["--gpu_ids", "3"], "qwen2.5-1.5b"),
        ("train-1.5b GPUS=1", "single_gpu", ["--num_processes", "1"], "qwen2.5-1.5b"),
        ("train-1.5b GPUS=4", "ddp", ["--num_processes", "4"], "qwen2.5-1.5b"),
        ("train-1.5b CONFIG=ddp GPUS=4", "ddp", ["--num_processes", "4"], "qwen2.5-1.5b"),
        ("train-1.5b CONFIG=ddp GPUS=2 CUDA_VISIBLE_DEVICES=2,3", "ddp", ["--num_processes", "2"], "qwen2.5-1.5b"),
    ],
)
def test_make_train(typed, config, options, recipe):
    said = what_make_runs(*typed.split(), "ARGS=--max_steps 5")
    launch = said[said.index(".venv/bin/accelerate") :].split()
    accelerate = ["launch", "--config_file", f"accelerate_configs/{config}.yaml", *options]
    assert launch[1:] == [*accelerate, "recipes/grpo.py", "--config", f"recipes/{recipe}.yaml", "--max_steps", "5"]
    assert (ROOT / launch[3]).exists()
    assert (ROOT / "recipes" / f"{recipe}.yaml").exists()


@pytest.mark.parametrize("typed", ["train-1.5b CONFIG=single_gpu GPUS=4", "train-14b CONFIG=single_gpu GPUS=2"])
def test_make_train_on_several_gpus_refuses_the_config_of_one(typed):
    run = subprocess.run(["make", "-n", *typed.split()], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert f"single_gpu.yaml trains on one GPU, not on {typed.split()[-1]}: use CONFIG=ddp" in run.stderr
    assert "accelerate launch" not in run.stdout


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        ("", True),
        ("RECIPE=qwen3-8b", True),
        ("RECIPE=tiny-cpu", False),
        ("RECIPE=no-such-recipe", False),
        ("ARGS=--dataset=other", False),
    ],
)
def test_make_benchmark_makes_the_dataset_that_the_recipe_names(typed, made):
    said = what_make_runs("benchmark", "--always-make", "MODEL=guess", *typed.split())
    assert ("-m puzzles.dataset" in said, "benchmark.py guess" in said) == (made, True)


@pytest.mark.parametrize(
    ("typed", "copies", "gpus_each"), [("", "8", "1"), ("MODEL=Qwen/Qwen2.5-32B-Instruct DP=4 TP=2", "4", "2")]
)
def test_make_serve(typed, copies, gpus_each):
    words = what_make_runs("serve-14b", *typed.split()).split()
    assert words[words.index("--data-parallel-size") + 1] == copies
    assert words[words.index("--tensor-parallel-size") + 1] == gpus_each


TORCH = """
import os
class cuda:
    device_count = staticmethod(lambda: int(os.environ["SEEN"]))
__version__ = "2.13.0"
"""


@pytest.mark.parametrize(
    ("driver", "seen", "typed", "said"),
    [
        ("580.95.05\n580.95.05", 2, "", "Ready: .venv, torch 2.13.0 GPUs: 2"),
        ("570.133.20", 1, "", "The NVIDIA driver is 570.133.20, and CUDA 13 needs 580 or newer: update it."),
        ("No devices were found", 0, "", "The NVIDIA driver is No devices were found, and CUDA 13 needs"),
        ("580.95.05", 0, "", "PyTorch is installed, but sees no GPU: look at nvidia-smi and CUDA_VISIBLE_DEVICES."),
        (None, 0, "", "No NVIDIA GPU found. Without one, use: make train-tiny, make plan-14b, make rehearse. To install"),
        (None, 0, "FORCE=1", "Ready: .venv, torch 2.13.0 GPUs: 0"),
    ],
)
def test_make_install_gpu(place, driver, seen, typed, said):
    for file in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-cpu.txt"):
        shutil.copy(ROOT / file, place)
    (place / ".venv" / "cpu").touch()
    (place / "torch.py").write_text(TORCH)
    script(place / ".venv" / "bin" / "python", f'[[ $1 == -m ]] || exec {sys.executable} "$@"')
    if driver:
        script(place / "bin" / "nvidia-smi", f"echo '{driver}'")
    tools = ":".join(str(Path(shutil.which(tool)).parent) for tool in ("bash", "awk"))
    environment = {"PATH": f"{place / 'bin'}:{tools}", "SEEN": str(seen), "PYTHONPATH": str(place)}
    make = [shutil.which("make"), "install-gpu", *typed.split()]
    done = subprocess.run(make, cwd=place, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == said.startswith("Ready")
    assert said in done.stdout + done.stderr


def test_the_image_is_built_from_files_and_targets_that_exist():
    text = (ROOT / "Dockerfile").read_text()
    steps = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {step[0] for step in steps} <= {"FROM", "WORKDIR", "COPY", "RUN", "CMD"}
    assert [step[-1] for step in steps if step[0] == "FROM"] == ["cpu", "gpu"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{step[2]}:" in makefile for step in steps if step[:2] == ["RUN", "make"])
    assert {".venv*", "outputs"} <= set((ROOT / ".dockerignore").read_text().split())


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode != 0,
    reason="Docker is not installed or not running",
)
def test_the_image_without_a_gpu_is_built_and_makes_a_puzzle():
    subprocess.run(["docker", "build", "--target", "cpu", "--tag", "temporal-clue-test", "."], cwd=ROOT, check=True)
    run = ["docker", "run", "--rm", "temporal-clue-test", "make", "puzzle"]
    assert "Tudor Mansion" in subprocess.run(run, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("typed", "seen"), [("", "0"), ("CUDA_VISIBLE_DEVICES=3,4", "3")])
def test_make_smoke_gpu_checks_one_gpu(typed, seen):
    said = what_make_runs("smoke-gpu", *typed.split())
    assert f"CUDA_VISIBLE_DEVICES={seen} .venv/bin/python recipes/smoke_gpu.py" in said


@pytest.mark.parametrize("size", ["1.5b", "14b", "32b"])
def test_make_plan(size):
    said = what_make_runs(f"plan-{size}", "ARGS=--price 9")
    plan = said[said.index("recipes/planner/plan.py") :].split()
    assert plan[1:3] == ["--config", f"recipes/qwen2.5-{size}.yaml"]
    assert plan[-2:] == ["--price", "9"]
    assert all((ROOT / word).exists() for word in plan if word.endswith(".yaml"))


def test_the_config_of_one_gpu_hides_all_others():
    """As `accelerate launch` reads it, on a machine with several: with more in sight, TRL refuses after loading the model."""
    parser = launch_command_parser()
    args = parser.parse_args(["--config_file", str(ROOT / "accelerate_configs" / "single_gpu.yaml"), "recipes/grpo.py"])
    args, *_ = _validate_launch_command(args)
    assert prepare_simple_launcher_cmd_env(args)[1]["CUDA_VISIBLE_DEVICES"] == "0"


def test_the_config_of_several_gpus_starts_a_process_on_each():
    """As `accelerate launch` reads it: torch's launcher, on this node alone, in bfloat16, without DeepSpeed or FSDP."""
    parser = launch_command_parser()
    config = ["--config_file", str(ROOT / "accelerate_configs" / "ddp.yaml"), "--num_processes", "4"]
    args, *_ = _validate_launch_command(parser.parse_args([*config, "--main_process_port", "0", "recipes/grpo.py"]))
    environment = prepare_multi_gpu_env(args)
    assert (args.multi_gpu, args.use_deepspeed, args.use_fsdp, args.use_cpu) == (True, False, False, False)
    assert (args.num_machines, args.num_processes, args.nproc_per_node) == (1, 4, "4")
    assert (args.gpu_ids, environment["ACCELERATE_MIXED_PRECISION"]) == ("all", "bf16")
