/** The version of both programs. A test holds it against package.json, which bundles do not carry. */
export const version = "0.1.0";
