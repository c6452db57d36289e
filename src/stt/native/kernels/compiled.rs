//! [`Kernels`](super::Kernels) of an instruction set, from what its registers do.

/// Implements the kernels for `$kernels`, a value of which proves that the processor has `$features`, with the products of
/// `$lanes` and some functions of its own. Everything is compiled for these features.
macro_rules! compiled {
    ($kernels:ty, $lanes:ty, $features:literal $(, { $($own:item)* })?) => {
        impl Kernels for $kernels {
            $($($own)*)?

            fn multiply(&self, rows: Rows<'_>, weights: &Panels<i16>, place: Place<'_>) {
                check(&rows, weights.inputs, weights.outputs, &place);
                // SAFETY: `self` proves the instructions; the sizes were checked.
                unsafe { multiply(rows, weights, place) }
            }

            fn multiply_bytes(&self, rows: Rows<'_>, weights: &Panels<i8>, place: Place<'_>) {
                check(&rows, weights.inputs, weights.outputs, &place);
                // SAFETY: `self` proves the instructions; the sizes were checked.
                unsafe { multiply(rows, weights, place) }
            }

            fn multiply_softmax(&self, rows: Rows<'_>, scale: f32, weights: &Panels<i16>, place: Place<'_>) {
                check(&rows, weights.inputs, weights.outputs, &place);
                // SAFETY: `self` proves the instructions; the sizes were checked.
                unsafe { multiply_softmax(rows, scale, weights, place) }
            }

            fn softmax(&self, rows: &mut [f32], width: usize, scale: f32) {
                // SAFETY: `self` proves the instructions.
                unsafe { softmax(rows, width, scale) }
            }

            fn attend(&self, query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]) {
                // SAFETY: `self` proves the instructions.
                unsafe { attend(query, rows, stride, scores, to) }
            }

            fn bias_gelu(&self, rows: &mut [f32], bias: &[f32]) {
                // SAFETY: `self` proves the instructions.
                unsafe { bias_gelu(rows, bias) }
            }

            fn normalize(&self, rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
                // SAFETY: `self` proves the instructions.
                unsafe { normalize(rows, weight, bias, to) }
            }
        }

        /// # Safety
        /// Rows and place are large enough for the weights.
        #[target_feature(enable = $features)]
        unsafe fn multiply<W: Load<$lanes>>(rows: Rows<'_>, weights: &Panels<W>, place: Place<'_>) {
            let make = |whole: &mut WholeRows<W::Number>, some| rowwise::make_whole(whole, rows, some, weights.inputs);
            // SAFETY: as the caller promises; this function is compiled for the instructions.
            unsafe { tiles::multiply::<$lanes, W>(rows.count, make, weights, place) }
        }

        /// # Safety
        /// As [`multiply`].
        #[target_feature(enable = $features)]
        unsafe fn multiply_softmax<W: Load<$lanes>>(rows: Rows<'_>, scale: f32, weights: &Panels<W>, place: Place<'_>) {
            let make = |whole: &mut WholeRows<W::Number>, some| {
                rowwise::make_whole_softmax::<true, W::Number>(whole, rows, some, weights.inputs, scale);
            };
            // SAFETY: as the caller promises; this function is compiled for the instructions.
            unsafe { tiles::multiply::<$lanes, W>(rows.count, make, weights, place) }
        }

        #[target_feature(enable = $features)]
        fn softmax(rows: &mut [f32], width: usize, scale: f32) {
            rowwise::softmax::<true>(rows, width, scale);
        }

        #[target_feature(enable = $features)]
        fn attend(query: &[f32], rows: (&[f32], &[f32]), stride: usize, scores: &mut [f32], to: &mut [f32]) {
            rowwise::attend::<true>(query, rows, stride, scores, to);
        }

        #[target_feature(enable = $features)]
        fn bias_gelu(rows: &mut [f32], bias: &[f32]) {
            rowwise::bias_gelu::<true>(rows, bias);
        }

        #[target_feature(enable = $features)]
        fn normalize(rows: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
            rowwise::normalize(rows, weight, bias, to);
        }
    };
}

pub(super) use compiled;
