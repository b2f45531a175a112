"""Slow tests, by name, whatever file they stand in.

``pytest -m "not slow"`` leaves them out, with those that carry ``@pytest.mark.slow``. A name with a bracket stands for
the cases that begin so.
"""

SLOW = {
    "cli": {
        "test_a_backend_of_a_notebook_does_not_matter",
        "test_a_folder_of_what_was_prepared_can_be_trained",
        "test_a_huge_zarr_under_a_limit_of_memory",
        "test_bad_images[missing-",
        "test_coarse_thickens_filopodia_and_its_absence_is_told",
        "test_codes_are_put_in_order_by_their_names",
        "test_codes_of_a_training_are_read_by_evaluate",
        "test_demo_tells_whether_it_worked",
        "test_encode_at_other_frames_than_the_sequence_tells_no_pairs",
        "test_encode_takes_a_voxel_size",
        "test_encode_writes_codes_that_evaluate_reads",
        "test_info_on_all_real_images",
        "test_options_reach_the_training_and_quiet_is_quiet",
        "test_render_with_computed_optics",
        "test_the_demos_sample_is_seeded_and_its_truth_lies_in_it",
        "test_what_encode_tells_to_do_next_works_for_other_frames_samples_and_boxes",
        "test_what_is_left_out_reaches_the_terminal",
        "test_what_the_readme_says_of_living_shapes_works",
        "test_without_docstrings_and_asserts",
        "test_without_torch_the_command_says_how_to_install_it",
    },
    "compare": {
        "test_a_saved_comparison_is_complete",
        "test_empty_frames_are_counted",
        "test_the_command_writes_a_report",
        "test_the_page_begins_with_pictures_of_the_shapes",
        "test_the_page_holds_figures_and_numbers_and_nothing_from_outside",
        "test_tsne_keeps_groups_apart_and_repeats_itself",
    },
    "fitting": {
        "test_a_cameras_likelihood_beats_plain_least_squares",
        "test_a_cell_cut_by_the_unmeasured_part_is_said_and_left_blank",
        "test_a_cells_mask_as_region_is_widened_and_said",
        "test_a_constant_fill_does_not_count",
        "test_a_displaced_psf_is_a_moved_surface_and_has_its_gradient",
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
        "test_a_thin_rod_is_not_eaten_by_remeshing",
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
    "fourier": {
        "test_cow_against_dense_quadrature[8-float32",
        "test_half_space_stands_for_the_full_spectrum[nufft",
    },
    "mesh": {
        "test_a_part_is_mended_and_the_rest_stays[dumbbell",
        "test_float32_stays_float32",
    },
    "neural": {
        "test_resumed_is_the_uninterrupted_training[change1",
        "test_rotations_start_from_turns_that_make_the_shapes_alike",
    },
    "optics": {
        "test_a_pupil_against_pyotf",
        "test_descriptions_are_json_and_come_back[layered",
        "test_descriptions_are_json_and_come_back[pupil",
        "test_descriptions_are_json_and_come_back[supercritical",
        "test_gradient_against_finite_differences[kept-layered",
        "test_gradient_against_finite_differences[kept-supercritical",
        "test_gradient_against_finite_differences[whole-",
        "test_widths",
    },
    "report": {
        "test_a_constant_image_and_a_perfect_model_can_be_shown",
        "test_a_fits_film_shows_the_surface_move",
        "test_every_id_that_the_script_asks_for_is_there",
        "test_figures_leave_no_trace_in_pyplot_or_the_settings",
        "test_it_is_written_whole_or_not_at_all",
        "test_it_tells_which_cell_it_is_and_what_an_error_means",
        "test_the_mosaics_hold_the_slices",
        "test_truth_and_region_are_drawn_too",
        "test_uneven_staining_is_coloured_with_a_key",
        "test_words_are_escaped",
    },
    "sdf": {
        "test_a_single_object_at_the_border",
        "test_box_and_clamp",
        "test_distance_of_smooth_bodies[ellipsoid-",
        "test_families[filopodial-",
        "test_largest_part_and_parts",
        "test_one_body_seen_in_few_voxels[lobes-",
        "test_one_label_at_the_border_costs_no_other",
        "test_the_files_own_time_between_frames",
    },
    "synth": {
        "test_change_is_smooth_in_time[filopodial]",
        "test_coarse_filopodia_stay_within_the_box",
        "test_dividing_is_like_the_paper",
        "test_division_happens_once",
        "test_division_shows_in_samples",
        "test_filopodia_grow_and_thicken_on_demand",
        "test_filopodial_is_like_the_paper",
        "test_one_body[filopodial]",
        "test_thin_filopodia_hold_together_at_256",
    },
}

NAMES = set().union(*SLOW.values())
_CASES = tuple(name for name in NAMES if "[" in name)


def is_slow(test: str) -> bool:
    """Whether a test, with its case in brackets, is on the list."""
    return test.partition("[")[0] in NAMES or test.startswith(_CASES)
