/// No tabs, no white space at the end of a line, no long lines.
enum LayoutRule {
    static let columnsMax = 100

    static func check(_ file: SourceFile) -> [Violation] {
        var violations: [Violation] = []
        for (index, line) in file.lines.enumerated() {
            let number = index + 1
            if line.contains("\t") {
                violations.append(file.violation(number, "a tab; indent with spaces"))
            }
            if line.last?.isWhitespace == true {
                violations.append(file.violation(number, "white space at the end of the line"))
            }
            if file.path.hasSuffix(".swift"), line.count > columnsMax {
                let message = "\(line.count) columns; at most \(columnsMax)"
                violations.append(file.violation(number, message))
            }
        }
        return violations
    }
}
