"""Slow cases of tests whose other cases are quick: names as pytest shows them, or how they begin.

``pytest -m "not slow"`` leaves them out, with the tests that carry ``@pytest.mark.slow``.
"""

CASES = (
    "test_a_part_is_mended_and_the_rest_stays[dumbbell",
    "test_bad_images[missing-",
    "test_change_is_smooth_in_time[filopodial]",
    "test_cow_against_dense_quadrature[8-float",
    "test_descriptions_are_json_and_come_back[layered",
    "test_descriptions_are_json_and_come_back[pupil",
    "test_descriptions_are_json_and_come_back[supercritical",
    "test_families[filopodial-",
    "test_gradients_of_every_kind_against_finite_differences[kept-layered",
    "test_gradients_of_every_kind_against_finite_differences[kept-supercritical",
    "test_gradients_of_every_kind_against_finite_differences[whole-",
    "test_half_space_stands_for_the_full_spectrum[nufft",
    "test_one_body[filopodial]",
    "test_one_body_seen_in_few_voxels[lobes-",
    "test_the_result_is_whole_even_and_the_same_body[dumbbell",
    "test_the_result_is_whole_even_and_the_same_body[bumpy",
    "test_resumed_is_the_uninterrupted_training[change1",
)


def is_slow(test: str) -> bool:
    """Whether a test, with its case in brackets, is on the list."""
    return test.startswith(CASES)
