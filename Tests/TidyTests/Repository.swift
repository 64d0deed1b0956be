import Foundation

/// The repository that this test stands in.
struct Repository {
    let root: URL

    init(filePath: String = #filePath) {
        // Tests/TidyTests/Repository.swift
        root = URL(fileURLWithPath: filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }

    /// The files below the folders whose names end in one of the extensions, sorted by path.
    /// A folder that does not exist has none.
    func files(in folders: [String], extensions: Set<String> = ["swift"]) throws -> [SourceFile] {
        var paths: [String] = []
        for folder in folders {
            let base = root.appendingPathComponent(folder)
            guard let walk = FileManager.default.enumerator(atPath: base.path) else { continue }
            for case let name as String in walk {
                let parts = name.split(separator: "/")
                // A nested package keeps its build products below itself.
                if parts.contains(where: { $0.hasPrefix(".") }) { continue }
                if extensions.contains((name as NSString).pathExtension) {
                    paths.append(folder + "/" + name)
                }
            }
        }
        return try paths.sorted().map(file)
    }

    /// One file, by its path from the root.
    func file(_ path: String) throws -> SourceFile {
        let url = root.appendingPathComponent(path)
        return SourceFile(path: path, text: try String(contentsOf: url, encoding: .utf8))
    }

    func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
    }
}
