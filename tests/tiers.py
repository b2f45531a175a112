"""Slow tests of rooms whose files are long or move: by the test's name, whatever file it stands in.

``pytest -m "not slow"`` leaves them out, with those that carry ``@pytest.mark.slow``. A name with a bracket stands for
the cases that begin so.
"""

SLOW = {
    "cli": {
        "test_a_backend_of_a_notebook_does_not_matter",
        "test_a_folder_of_what_was_prepared_can_be_trained",
        "test_a_huge_zarr_under_a_limit_of_memory",
        "test_coarse_thickens_filopodia_and_its_absence_is_told",
        "test_codes_are_put_in_order_by_their_names",
        "test_codes_of_a_training_are_read_by_evaluate",
        "test_demo_tells_whether_it_worked",
        "test_encode_at_other_frames_than_the_sequence_tells_no_pairs",
        "test_encode_takes_a_voxel_size",
        "test_encode_writes_codes_that_evaluate_reads",
        "test_info_on_all_real_images",
        "test_options_reach_the_training_and_quiet_is_quiet",
        "test_the_demos_sample_is_seeded_and_its_truth_lies_in_it",
        "test_what_encode_tells_to_do_next_works_for_other_frames_samples_and_boxes",
        "test_what_is_left_out_reaches_the_terminal",
        "test_what_the_readme_says_of_living_shapes_works",
        "test_without_docstrings_and_asserts",
    },
    "compare": {
        "test_a_saved_comparison_is_complete",
        "test_empty_frames_are_counted",
        "test_the_command_writes_a_report",
        "test_the_page_begins_with_pictures_of_the_shapes",
        "test_tsne_keeps_groups_apart_and_repeats_itself",
    },
    "fitting": {
        "test_a_cameras_likelihood_beats_plain_least_squares",
        "test_a_cell_cut_by_the_unmeasured_part_is_said_and_left_blank",
        "test_a_constant_fill_does_not_count",
        "test_a_fit_beside_a_neighbour",
        "test_a_fit_finds_the_staining_and_is_not_led_astray_by_it",
        "test_a_good_start_is_left_where_it_is",
        "test_a_held_psf_has_no_errors",
        "test_a_label_chooses_its_cell",
        "test_a_label_does_better_than_its_voxels_as_a_hard_region",
        "test_a_label_with_a_tunnel_starts_from_its_ellipsoid",
        "test_a_psf_without_parameters_is_held",
        "test_a_real_cell_that_the_model_does_not_explain_in_full_keeps_its_priors",
        "test_a_resume_tells_what_the_fit_was_given",
        "test_a_thin_rod_is_not_eaten_by_remeshing[0.35]",
        "test_a_users_prior_is_heard_as_loudly_as_it_speaks",
        "test_another_label_is_refused_on_a_resume",
        "test_default_fit_explains_the_image",
        "test_depth_is_found_with_the_shape",
        "test_fits_learn_how_even_the_staining_is_and_how_smooth_the_surface",
        "test_intervals_and_files",
        "test_limbs_that_grow_side_by_side",
        "test_noise_and_what_it_does_scale_together",
        "test_poor_starts_end_where_good_ones_do",
        "test_repeats_scatter_as_much_as_is_said",
        "test_spherical_aberration_is_found_with_the_shape",
        "test_spread_of_a_staining_against_fields_that_were_drawn",
        "test_stiffness_against_surfaces_that_were_drawn",
        "test_weights_of_a_robust_loss_and_light_of_neighbours_come_back_on_a_resume",
        "test_what_was_learnt_comes_back_on_a_resume",
    },
    "optics": {
        "test_a_pupil_against_pyotf",
        "test_descriptions_are_json_and_come_back[supercritical",
        "test_gradient_against_finite_differences[whole-",
        "test_widths",
    },
    "report": {
        "test_every_id_that_the_script_asks_for_is_there",
        "test_it_is_written_whole_or_not_at_all",
        "test_it_tells_which_cell_it_is_and_what_an_error_means",
        "test_r2_is_that_of_the_region_around_the_surface",
        "test_uneven_staining_is_coloured_with_a_key",
        "test_words_are_escaped",
    },
    "synth": {
        "test_change_is_smooth_in_time[filopodial]",
        "test_coarse_filopodia_stay_within_the_box",
        "test_dividing_is_like_the_paper",
        "test_division_shows_in_samples",
        "test_filopodial_is_like_the_paper",
        "test_one_body[filopodial]",
    },
}

NAMES = set().union(*SLOW.values())
_CASES = tuple(name for name in NAMES if "[" in name)


def is_slow(test: str) -> bool:
    """Whether a test, with its case in brackets, is on the list."""
    return test.partition("[")[0] in NAMES or test.startswith(_CASES)
