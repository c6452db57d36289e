use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::panels::Weight;
use super::*;

fn numbers(random: &mut SmallRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Every instruction set of this machine but the portable one.
fn others() -> impl Iterator<Item = (Isa, Box<dyn Kernels>)> {
    let others = Isa::ALL.into_iter().filter(|isa| *isa != Isa::Portable && isa.is_available());
    others.map(|isa| (isa, isa.kernels()))
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            "{what}: {found} is not {expected} at {at}"
        );
    }
}

#[test]
fn products_are_sums_of_products() {
    let weights = [[1.0, 2.0, 3.0], [0.5, -1.0, 127.0]].concat();
    let rows = [[1.0, 0.0, -1.0, 9.0], [2.0, 2.0, 2.0, 9.0]].concat();
    for isa in Isa::ALL {
        let kernels = isa.kernels();
        for kind in ["words", "bytes", "all bytes"] {
            let mut result = [7.0; 6];
            let (rows, place) =
                (Rows { numbers: &rows, stride: 4, count: 2 }, Place { numbers: &mut result, stride: 3 });
            match kind {
                "words" => kernels.multiply(rows, &Panels::of(&weights, 3), place),
                "bytes" => kernels.multiply_bytes(rows, &Panels::of(&weights, 3), place),
                _ => kernels.multiply_all_bytes(rows, &Panels::of(&weights, 3), place),
            }
            // What lies between the rows of the result stays. As a byte the half beside 127 is nothing.
            let half = if kind == "words" { 0.5 } else { 0.0 };
            assert_close(&result, &[-2.0, half - 127.0, 7.0, 12.0, 2.0 * half + 252.0, 7.0], 0.02, isa.as_str());
        }
    }
}

#[test]
fn every_instruction_set_agrees_with_the_portable_one_whatever_the_shapes() {
    let mut random = SmallRng::seed_from_u64(20_261_123);
    let portable = Isa::Portable.kernels();
    for (isa, kernels) in others() {
        for _ in 0..100 {
            let (count, inputs) = (random.random_range(0..40), random.random_range(1..1_200));
            let outputs = random.random_range(1..70);
            let (stride, place_stride) = (inputs + random.random_range(0..5), outputs + random.random_range(0..5));
            let rows = numbers(&mut random, count * stride);
            let weights = numbers(&mut random, inputs * outputs);
            let rows = Rows { numbers: &rows, stride, count };
            let what = format!("{} of {count} × {inputs} × {outputs}", isa.as_str());
            let mut both = [vec![3.0; count * place_stride], vec![3.0; count * place_stride]];
            let panels = Panels::<i16>::of(&weights, inputs);
            for (kernels, result) in [&portable, &kernels].into_iter().zip(&mut both) {
                kernels.multiply(rows, &panels, Place { numbers: result, stride: place_stride });
            }
            assert_eq!(both[1], both[0], "{what}");
            let bytes = Panels::<i8>::of(&weights, inputs);
            for (kernels, result) in [&portable, &kernels].into_iter().zip(&mut both) {
                kernels.multiply_bytes(rows, &bytes, Place { numbers: result, stride: place_stride });
            }
            assert_eq!(both[1], both[0], "{what}");
            let bytes = Panels::<Byte>::of(&weights, inputs);
            for (kernels, result) in [&portable, &kernels].into_iter().zip(&mut both) {
                kernels.multiply_all_bytes(rows, &bytes, Place { numbers: result, stride: place_stride });
            }
            assert_eq!(both[1], both[0], "{what}");
            for (kernels, result) in [&portable, &kernels].into_iter().zip(&mut both) {
                kernels.multiply_softmax(rows, 3.0, &panels, Place { numbers: result, stride: place_stride });
            }
            assert_close(&both[1], &both[0], 1e-3, &what);
            for (kernels, result) in [&portable, &kernels].into_iter().zip(&mut both) {
                kernels.multiply_softmax_all_bytes(rows, 3.0, &bytes, Place { numbers: result, stride: place_stride });
            }
            assert_close(&both[1], &both[0], 1e-2, &what);

            let mut both = [0, 1].map(|_| numbers(&mut SmallRng::seed_from_u64(count as u64), count * inputs));
            let (weight, bias) = (numbers(&mut random, inputs), numbers(&mut random, inputs));
            for (kernels, rows) in [&portable, &kernels].into_iter().zip(&mut both) {
                let mut normal = vec![0.0; rows.len()];
                kernels.normalize(rows, &weight, &bias, &mut normal);
                kernels.bias_gelu(&mut normal, &bias);
                kernels.softmax(&mut normal, inputs, 3.0);
                *rows = normal;
            }
            assert_close(&both[1], &both[0], 1e-4, &what);
        }
    }
}

#[test]
fn rounded_products_are_near_the_exact_ones() {
    let mut random = SmallRng::seed_from_u64(3);
    for inputs in [1, 2, 33, 511, 513, 1_500] {
        let (rows, weights) = (numbers(&mut random, 5 * inputs), numbers(&mut random, 19 * inputs));
        let columns = transposed(&weights, inputs);
        let mut turned = Panels::<i16>::zeros(19, inputs);
        turned.set_columns(&columns, 19);
        // Half a step of what a number of up to one is rounded to, for both factors.
        let (fine, coarse) = (0.5 / 2_047.0, 0.5 / 127.0);
        let mut found = [0; 4].map(|_| vec![0.0; 5 * 19]);
        let kernels = Isa::best().kernels();
        let [by_rows, by_columns, bytes, all_bytes] = &mut found;
        kernels.multiply(Rows::dense(&rows, inputs), &Panels::of(&weights, inputs), Place::dense(by_rows, 19));
        kernels.multiply(Rows::dense(&rows, inputs), &turned, Place::dense(by_columns, 19));
        kernels.multiply_bytes(Rows::dense(&rows, inputs), &Panels::of(&weights, inputs), Place::dense(bytes, 19));
        kernels.multiply_all_bytes(
            Rows::dense(&rows, inputs),
            &Panels::of(&weights, inputs),
            Place::dense(all_bytes, 19),
        );
        assert_eq!(by_rows, by_columns);
        let errors = [(by_rows, 2.0 * fine), (bytes, fine + coarse), (all_bytes, 2.5 * coarse)];
        for (found, error) in errors {
            for (at, found) in found.iter().enumerate() {
                let (row, weights) = (&rows[at / 19 * inputs..][..inputs], &weights[at % 19 * inputs..][..inputs]);
                let exact: f32 = row.iter().zip(weights).map(|(one, other)| one * other).sum();
                assert!((*found - exact).abs() <= 1.01 * error * inputs as f32, "{found} {exact} of {inputs}");
            }
        }
    }
}

#[test]
fn rows_of_bytes_may_be_on_one_side_of_nothing_or_all_alike() {
    let rows = [[0.5, 2.0, 1.0], [-0.5, -2.0, -1.0], [0.0; 3], [3.0; 3], [-3.0; 3], [1e-30, -1e30, 1e30]];
    let weights = Panels::of(&[1.0, -1.0, 1.0, 127.0, 1.0, 1.0], 3);
    let expected = [[-0.5, 66.5], [0.5, -66.5], [0.0; 2], [3.0, 387.0], [-3.0, -387.0], [2e30, 0.0]];
    for isa in Isa::ALL {
        let mut found = [7.0; 12];
        isa.kernels().multiply_all_bytes(Rows::dense(&rows.concat(), 3), &weights, Place::dense(&mut found, 2));
        for (found, expected) in found.as_chunks::<2>().0.iter().zip(expected) {
            assert_close(found, &expected, 0.02, isa.as_str());
        }
        let mut none = [0.0; 2];
        isa.kernels().multiply_softmax_all_bytes(
            Rows::dense(&[f32::NAN, f32::INFINITY, 3.0], 3),
            1.0,
            &weights,
            Place::dense(&mut none, 2),
        );
    }
}

/// The columns of a matrix as rows.
fn transposed(rows: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = rows.len() / inputs;
    (0..inputs).flat_map(|input| (0..outputs).map(move |output| rows[output * inputs + input])).collect()
}

#[test]
fn numbers_that_are_none_are_multiplied_without_harm() {
    let weights = [1.0, f32::NAN, f32::INFINITY, -2.0];
    for isa in Isa::ALL {
        let mut result = [0.0; 2];
        let rows = [f32::NAN, f32::INFINITY, 3.0, f32::NEG_INFINITY];
        isa.kernels().multiply(Rows::dense(&rows, 2), &Panels::of(&weights[..2], 2), Place::dense(&mut result, 1));
        isa.kernels().multiply_bytes(
            Rows::dense(&rows, 2),
            &Panels::of(&weights[2..], 2),
            Place::dense(&mut result, 1),
        );
        isa.kernels().multiply_all_bytes(
            Rows::dense(&rows, 2),
            &Panels::of(&weights[1..3], 2),
            Place::dense(&mut result, 1),
        );
    }
}

#[test]
fn rows_become_what_the_formulas_say() {
    for isa in Isa::ALL {
        let kernels = isa.kernels();
        let row: Vec<f32> = (0..41_u8).map(|n| f32::from(n) / 4.0 - 5.0).collect();
        let mut found = row.clone();
        kernels.softmax(&mut found, 41, 0.5);
        let total: f32 = row.iter().map(|x| (x * 0.5).exp()).sum();
        let expected: Vec<f32> = row.iter().map(|x| (x * 0.5).exp() / total).collect();
        assert_close(&found, &expected, 1e-6, "softmax");
        let mut found = row.clone();
        kernels.bias_gelu(&mut found, &[1.0; 41]);
        let gelu = |x: f32| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh());
        let expected: Vec<f32> = row.iter().map(|x| gelu(x + 1.0)).collect();
        assert_close(&found, &expected, 1e-6, "gelu");
        let mut found = vec![0.0; 41];
        kernels.normalize(&row, &[2.0; 41], &[1.0; 41], &mut found);
        let mean = found.iter().sum::<f32>() / 41.0;
        assert!((mean - 1.0).abs() < 1e-5, "{mean}");
        let variance = found.iter().map(|x| (x - 1.0) * (x - 1.0)).sum::<f32>() / 41.0;
        assert!((variance - 4.0).abs() < 1e-4, "{variance}");
    }
}

#[test]
fn attention_mixes_the_values_by_what_their_keys_get() {
    let mut random = SmallRng::seed_from_u64(20_261_123);
    for _ in 0..60 {
        let (size, rows) = (random.random_range(1..70), random.random_range(1..30));
        let stride = size + random.random_range(0..9);
        let [keys, values] = [0, 1].map(|_| numbers(&mut random, (rows - 1) * stride + size));
        let query = numbers(&mut random, size);
        let row = |numbers: &[f32], row: usize| numbers[row * stride..][..size].to_vec();
        let dot = |row: Vec<f32>| query.iter().zip(row).map(|(one, other)| one * other).sum::<f32>();
        let shares: Vec<f32> = (0..rows).map(|at| (dot(row(&keys, at)) / (size as f32).sqrt()).exp()).collect();
        let total: f32 = shares.iter().sum();
        let mut expected = vec![0.0; size];
        for (at, share) in shares.iter().enumerate() {
            expected.iter_mut().zip(row(&values, at)).for_each(|(to, value)| *to += share / total * value);
        }
        for isa in Isa::ALL {
            let (mut scores, mut found) = (vec![5.0; rows], vec![5.0; size]);
            isa.kernels().attend(&query, (&keys, &values), stride, &mut scores, &mut found);
            assert_close(&found, &expected, 1e-5, isa.as_str());
        }
    }
}

#[test]
fn exponents_at_the_ends_of_the_range_are_numbers() {
    for isa in Isa::ALL {
        let mut row = [-1e30, -300.0, 0.0, 300.0, 1e30];
        isa.kernels().softmax(&mut row, 5, 1.0);
        assert_eq!(row[4], 1.0);
        assert!(row.iter().all(|number| number.is_finite() && *number >= 0.0), "{row:?}");
    }
}

#[test]
fn weights_are_the_same_from_rows_and_from_columns() {
    are_the_same_from_rows_and_from_columns::<i16>();
    are_the_same_from_rows_and_from_columns::<i8>();
    are_the_same_from_rows_and_from_columns::<Byte>();
}

fn are_the_same_from_rows_and_from_columns<W: Weight + PartialEq + std::fmt::Debug>() {
    let mut random = SmallRng::seed_from_u64(11);
    for _ in 0..50 {
        let (outputs, inputs) = (random.random_range(1..50), random.random_range(1..90));
        let stride = inputs + random.random_range(0..3);
        let weights = numbers(&mut random, outputs * stride);
        let dense: Vec<f32> = weights.chunks(stride).flat_map(|row| &row[..inputs]).copied().collect();
        let (mut by_rows, mut by_columns) = (Panels::<W>::zeros(outputs, inputs), Panels::<W>::zeros(outputs, inputs));
        by_rows.set_rows(&weights, stride);
        by_columns.set_columns(&transposed(&dense, inputs), outputs);
        assert_eq!(by_rows, by_columns);
        assert_eq!(by_rows, Panels::of(&dense, inputs));
    }
}

#[test]
fn a_product_with_softmax_is_softmax_and_then_the_product() {
    let mut random = SmallRng::seed_from_u64(12);
    let (rows, weights) = (numbers(&mut random, 7 * 300), numbers(&mut random, 20 * 300));
    let panels = Panels::<i16>::of(&weights, 300);
    for isa in Isa::ALL {
        let kernels = isa.kernels();
        let mut all = [0; 3].map(|_| vec![0.0; 7 * 20]);
        let [apart, at_once, in_bytes] = &mut all;
        let mut shares = rows.clone();
        kernels.softmax(&mut shares, 300, 4.0);
        kernels.multiply(Rows::dense(&shares, 300), &panels, Place::dense(apart, 20));
        kernels.multiply_softmax(Rows::dense(&rows, 300), 4.0, &panels, Place::dense(at_once, 20));
        assert_close(at_once, apart, 1e-4, isa.as_str());
        let bytes = Panels::of(&weights, 300);
        kernels.multiply_softmax_all_bytes(Rows::dense(&rows, 300), 4.0, &bytes, Place::dense(in_bytes, 20));
        assert_close(in_bytes, apart, 0.01, isa.as_str());
    }
}

#[test]
fn bytes_are_within_half_a_step_of_the_weights() {
    let mut random = SmallRng::seed_from_u64(7);
    let weights = numbers(&mut random, 37 * 20);
    let panels = Panels::<i8>::of(&weights, 20);
    for (output, row) in weights.chunks(20).enumerate() {
        let step = row.iter().fold(0.0_f32, |top, weight| top.max(weight.abs())) / 127.0;
        for (found, weight) in panels.row(output).zip(row) {
            assert!((found - weight).abs() <= step * 0.501, "{found} {weight}");
        }
    }
}

/// Tiles as tall and as wide as those of the largest registers, on any processor.
#[cfg(target_arch = "x86_64")]
mod tall_tiles {
    #![expect(unsafe_code, reason = "the trait's own; here with arrays")]

    use super::super::panels::PANEL;
    use super::super::rowwise;
    use super::super::tiles::{self, ByteLanes, Lanes};
    use super::*;

    struct Arrays;

    impl Lanes for Arrays {
        type Whole = [i32; PANEL];
        type Sums = [f32; PANEL];
        /// Pairs of words, or four bytes.
        type Groups = [[i16; 4]; PANEL];

        const TALLEST: usize = 12;
        const WIDEST: usize = 2;

        unsafe fn nothing() -> (Self::Whole, Self::Sums) {
            ([0; PANEL], [0.0; PANEL])
        }

        unsafe fn words(weights: *const i16) -> Self::Groups {
            // SAFETY: as the caller promises.
            let words = unsafe { weights.cast::<[[i16; 2]; PANEL]>().read_unaligned() };
            words.map(|[one, other]| [one, other, 0, 0])
        }

        unsafe fn bytes(weights: *const i8) -> Self::Groups {
            // SAFETY: as the caller promises.
            let bytes = unsafe { weights.cast::<[[i8; 2]; PANEL]>().read_unaligned() };
            bytes.map(|[one, other]| [one.into(), other.into(), 0, 0])
        }

        unsafe fn dot(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
            let [a, b, c, d] = numbers.to_le_bytes();
            let numbers = [i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])].map(i32::from);
            std::array::from_fn(|at| {
                let [one, other, ..] = weights[at].map(i32::from);
                sums[at] + numbers[0] * one + numbers[1] * other
            })
        }

        unsafe fn add(sums: Self::Sums, whole: Self::Whole) -> Self::Sums {
            std::array::from_fn(|at| sums[at] + whole[at] as f32)
        }

        unsafe fn store(sums: Self::Sums, scale: f32, scales: *const f32, to: *mut f32) {
            // SAFETY: as the caller promises.
            unsafe {
                let scales = scales.cast::<[f32; PANEL]>().read_unaligned();
                to.cast::<[f32; PANEL]>().write_unaligned(std::array::from_fn(|at| sums[at] * scale * scales[at]));
            }
        }
    }

    impl ByteLanes for Arrays {
        unsafe fn minus_zero(zero: i32, sums: *const i32) -> Self::Whole {
            // SAFETY: as the caller promises.
            unsafe { sums.cast::<Self::Whole>().read_unaligned() }.map(|sum| -zero * sum)
        }

        unsafe fn fours(weights: *const Byte) -> Self::Groups {
            // SAFETY: as the caller promises.
            unsafe { weights.cast::<[[i8; 4]; PANEL]>().read_unaligned() }.map(|group| group.map(i16::from))
        }

        unsafe fn dot_bytes(sums: Self::Whole, numbers: i32, weights: Self::Groups) -> Self::Whole {
            let numbers = numbers.to_le_bytes().map(i32::from);
            std::array::from_fn(|at| {
                let products = numbers.iter().zip(weights[at]).map(|(number, weight)| number * i32::from(weight));
                sums[at] + products.sum::<i32>()
            })
        }
    }

    #[test]
    fn they_give_what_the_portable_kernels_give() {
        let mut random = SmallRng::seed_from_u64(20_261_124);
        for _ in 0..100 {
            let (count, inputs) = (random.random_range(0..40), random.random_range(1..1_200));
            let outputs = random.random_range(1..70);
            let stride = outputs + random.random_range(0..5);
            let numbers = [count * inputs, outputs * inputs].map(|count| numbers(&mut random, count));
            let rows = Rows::dense(&numbers[0], inputs);
            let mut both = [vec![3.0; count * stride], vec![3.0; count * stride]];
            let [expected, found] = &mut both;
            let weights = Panels::<i8>::of(&numbers[1], inputs);
            Isa::Portable.kernels().multiply_bytes(rows, &weights, Place { numbers: expected, stride });
            let make = |whole: &mut _, some| rowwise::make_whole(whole, rows, some, inputs);
            // SAFETY: every processor has arrays, and there is room.
            unsafe {
                tiles::multiply::<Arrays, i8>(count, make, &weights, Place { numbers: found, stride });
            }
            assert_eq!(found, expected, "{count} × {inputs} × {outputs}");

            let weights = Panels::<Byte>::of(&numbers[1], inputs);
            Isa::Portable.kernels().multiply_all_bytes(rows, &weights, Place { numbers: expected, stride });
            let make = |whole: &mut _, some| rowwise::make_whole(whole, rows, some, inputs);
            // SAFETY: every processor has arrays, and there is room.
            unsafe {
                tiles::multiply::<Arrays, Byte>(count, make, &weights, Place { numbers: found, stride });
            }
            assert_eq!(found, expected, "bytes of {count} × {inputs} × {outputs}");
        }
    }
}
