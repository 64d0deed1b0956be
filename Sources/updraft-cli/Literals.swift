import ArgumentParser
import MessagePack
import UpdraftCommandCore

/// The arguments of a call on the command line: JSON values.
enum Literals {
    static let help = """
        Arguments are JSON: 1  2.5  true  null  '"text"'  '[1, 2]'  '{"key": "value"}'. Text needs \
        its own quotes inside those of the shell. Integers stay exact up to 64 bits. What JSON has \
        not is an object with one key, in arguments as in results:
          {"$binary": "AQID"}        bytes, in base64
          {"$ext": [5, "AQID"]}      an extension of type 5
          {"$float": "nan"}          not a number; "inf" and "-inf" are the infinities
          {"$map": [[1, "one"]]}     a map whose keys are not distinct strings
        """

    /// - Throws: `ValidationError` that names the argument.
    static func values(of arguments: [String]) throws -> [MessagePackValue] {
        // What marks the end of the options ends up among what is passed through.
        let literals = arguments.first == "--" ? arguments.dropFirst() : arguments[...]
        return try literals.enumerated().map { index, text in
            do {
                return try JSONReader.value(of: text)
            } catch {
                throw ValidationError(
                    "Argument \(index + 1), \(shown(text)), is not JSON: \(error)." + hint(text))
            }
        }
    }

    private static let shownMax = 80

    private static func shown(_ text: String) -> String {
        text.count <= shownMax ? "'\(text)'" : "'\(text.prefix(shownMax))…'"
    }

    private static func hint(_ text: String) -> String {
        if text.hasPrefix("--") { return " Options come before HOST:PORT." }
        guard let first = text.first, first.isLetter || first == "_" else { return "" }
        return " Text needs quotes of its own: '\(JSONWriter.text(of: .string(text)))'."
    }
}
