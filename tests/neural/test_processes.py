"""Threads, forked processes and an optimising interpreter: the same answers, and no waiting for ever."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from neural.shapes import body

torch = pytest.importorskip("torch")

from cytoform.neural import EncodeConfig, NetworkConfig, TrainConfig, encode, reconstruct, train  # noqa: E402
from cytoform.neural.workers import Workers  # noqa: E402

SHORT = TrainConfig(
    network=NetworkConfig(latent=4, width=16, layers=3, latent_layers=(1, 3), omega=10.0),
    epochs=4,
    frame_points=64,
    batch_frames=3,
)
QUICK = EncodeConfig(starts=2, followed=(1,), rounds=(3, 3), points=(200, 400))


def work():
    """Everything that uses threads; three arrays."""
    two = [body(0.0, n=12, name="a"), body(1.0, n=12, name="b")]
    model = train(two, config=SHORT, device="cpu", precision="full")
    found = encode(model, body(0.5, n=12, name="c"), QUICK, device="cpu")
    places = np.random.default_rng(0).uniform(-1, 1, (5000, 4))
    return model.learned.codes.numpy().copy(), found.code, model.decode(places, found.code)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other))


@pytest.mark.slow
def test_threads_give_what_one_alone_gives():
    before, alone, found = torch.get_num_threads(), work(), [None] * 3
    threads = [threading.Thread(target=lambda k=k: found.__setitem__(k, work())) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is not None and same(one, alone) for one in found)
    assert torch.get_num_threads() == before


def test_torch_has_its_threads_back_once_the_last_workers_are_gone():
    """Also where those that began first end first, and the others began in a thread of theirs."""
    before, told = torch.get_num_threads(), []
    with Workers(torch.device("cpu")) as first:
        other = Workers(torch.device("cpu"))
        list(first._pool.map(lambda _: torch.get_num_threads(), range(4)))
    thread = threading.Thread(target=other.close)
    thread.start()
    thread.join()
    thread = threading.Thread(target=lambda: told.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert told == [before]


def test_small_products_beside_workers_are_made_by_one_thread():
    """Several would wait on each other: on a busy machine a step of Muon took 0.9 s with two, 9 ms with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Workers(torch.device("cpu"), 2):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


SCRIPT = """
import multiprocessing, sys
import numpy as np, torch
sys.path[:0] = {path!r}
from neural.test_processes import same, work

torch.set_num_threads(2)
alone = work()
torch.randn(1500, 1500) @ torch.randn(1500, 1500)  # torch's threads are at work in the parent
with multiprocessing.get_context({method!r}).Pool(1) as pool:
    if not same(pool.apply_async(work).get(timeout=100), alone):
        sys.exit("another answer")
print("the same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_give_what_this_one_gives(tmp_path, method):
    """A forked one would wait for its parent's threads for ever."""
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    script = tmp_path / "script.py"
    text = textwrap.dedent(SCRIPT.format(path=sys.path, method=method)).strip().splitlines()
    script.write_text("\n".join([*text[:4], "if __name__ == '__main__':", *(f"    {line}" for line in text[4:])]))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0 and "the same" in done.stdout, done.stderr[-2000:]


@pytest.mark.slow
def test_without_assertions_and_docstrings(tmp_path):
    """python -OO drops both; nothing may hang on them."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from neural.test_processes import work
        from cytoform.neural import generate, reconstruct, train
        import numpy as np
        np.savez({str(tmp_path / "found.npz")!r}, *work())
    """)
    )
    done = subprocess.run([sys.executable, "-OO", str(script)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "found.npz") as found:
        assert same(list(found.values()), work())


def test_reconstruct_in_a_thread_of_its_own():
    model = train([body(0.0, n=12), body(1.0, n=12)], config=SHORT, device="cpu", precision="full")
    found = []
    thread = threading.Thread(target=lambda: found.extend(reconstruct(model, device="cpu")))
    thread.start()
    thread.join()
    for one, other in zip(found, reconstruct(model, device="cpu")):
        np.testing.assert_array_equal(np.stack(list(one)), np.stack(list(other)))
