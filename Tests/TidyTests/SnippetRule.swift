/// Swift code that is shown is code that compiles: every ```` ```swift ```` block of the README and
/// of the pages in `docs/` stands word for word in a file of `Examples/Snippets`, which the package
/// builds. A page (not the README) may open a block that is not meant to compile with
/// ```` ```swift sketch ````. Indentation and line breaks may differ.
enum SnippetRule {
    static let folder = "Examples/Snippets"

    struct Block: Equatable {
        let line: Int
        let text: String
        let isSketch: Bool
    }

    /// - Parameters:
    ///   - pages: Markdown files.
    ///   - snippets: the compiled Swift files.
    ///   - manifest: the text of Package.swift, which has to build the folder.
    static func check(pages: [SourceFile], snippets: [SourceFile], manifest: String) -> [Violation]
    {
        let compiled = snippets.map { file in
            (text: normalised(file.text), code: code(file.text))
        }
        var violations: [Violation] = []
        for page in pages {
            for block in blocks(page) where !(block.isSketch && page.isIn("docs")) {
                let text = normalised(block.text)
                // Without its comments too: a block that is commented out there is not compiled.
                let blockCode = code(block.text)
                let found = compiled.contains {
                    $0.text.contains(text) && $0.code.contains(blockCode)
                }
                if !found {
                    let message = "this Swift block stands in no file of \(folder)"
                    violations.append(page.violation(block.line, message))
                } else if !manifest.contains(folder) {
                    let message = "Package.swift has no target at \(folder)"
                    violations.append(page.violation(block.line, message))
                }
            }
        }
        return violations
    }

    /// The Swift blocks of a page, with the line of their opening fence.
    static func blocks(_ page: SourceFile) -> [Block] {
        var blocks: [Block] = []
        var fence: (ticks: Int, info: [Substring], line: Int)?
        var content: [Substring] = []
        for (index, line) in page.lines.enumerated() {
            let text = line.drop { $0 == " " }
            let ticks = text.prefix { $0 == "`" }.count
            if let open = fence {
                let closes = ticks >= open.ticks && text.dropFirst(ticks).allSatisfy(\.isWhitespace)
                if !closes {
                    content.append(line)
                    continue
                }
                if open.info.first?.lowercased() == "swift" {
                    let isSketch = open.info.dropFirst().contains("sketch")
                    let text = content.joined(separator: "\n")
                    blocks.append(Block(line: open.line, text: text, isSketch: isSketch))
                }
                fence = nil
                content = []
            } else if ticks >= 3 {
                fence = (ticks, text.dropFirst(ticks).split(separator: " "), index + 1)
            }
        }
        return blocks
    }

    private static func normalised(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func code(_ text: String) -> String {
        normalised(String(decoding: SwiftLexer(text).withoutComments, as: UTF8.self))
    }
}
