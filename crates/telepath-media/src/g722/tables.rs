//! The constants of ITU-T G.722, sections 5.2 and 6.2.
//!
//! Scale factors and quantizer values are fractions of 2^15, logarithms of scale factors of 2^11.

/// The 24 coefficients of the quadrature mirror filters (table 11/G.722), fractions of 2^13, each half in the order of the
/// samples it is applied to, the oldest first. The filter is symmetric, so one half is the other in reverse.
pub(super) const MIRROR_ODD: [i16; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
pub(super) const MIRROR_EVEN: [i16; 12] = [-11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3];

/// Q6: the decision levels of the lower quantizer, as multiples of the scale factor; the first is zero.
pub(super) const LOWER_LEVELS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121,
    1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// The decision level of the higher quantizer, as a multiple of the scale factor.
pub(super) const HIGHER_LEVEL: i32 = 564;

/// QM6: what the 64 codes of the lower band stand for.
pub(super) const LOWER_6_BIT: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];

/// QM4: what the four most significant bits of a lower code stand for. The prediction uses only these, so that the
/// other two can be lost or replaced (modes 2 and 3) and both sides still adapt alike.
pub(super) const LOWER_4_BIT: [i16; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];

/// QM2: what the four codes of the higher band stand for.
pub(super) const HIGHER_2_BIT: [i16; 4] = [-7408, -1616, 7408, 1616];

/// WL through RL42: the change of the lower scale factor's logarithm for each four-bit code.
pub(super) const LOWER_LOG_STEPS: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

/// WH through RH2: the change of the higher scale factor's logarithm for each code.
pub(super) const HIGHER_LOG_STEPS: [i16; 4] = [798, -214, 798, -214];

/// ILB: the fractional part of a logarithm, in steps of 1/32, to the power of two it stands for.
pub(super) const INVERSE_LOG: [i16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
