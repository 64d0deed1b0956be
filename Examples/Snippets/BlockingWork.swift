// The code of docs/blocking-work.md.

import Glibc
import Updraft

struct Image: Sendable {
    var pixels: [UInt8] = []
}

func readCatalogue(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw CatalogueError.missing }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
}

enum CatalogueError: Error {
    case missing
}

@concurrent func render(_ image: Image) async -> Image {
    Image(pixels: image.pixels.map { 255 - $0 })
}

nonisolated(nonsending) func answer(_ stream: IOStream) async throws {
    let path = String(decoding: try await stream.read(until: "\n", maxBytes: 1_024), as: UTF8.self)
    let text = try await stream.loop.runInExecutor { try readCatalogue(path) }
    try await stream.write(text)
}

nonisolated(nonsending) func thumbnail(of image: Image, _ loop: IOLoop) async throws -> Image {
    try await loop.offLoop { await render(image) }
}

nonisolated(nonsending) func useOwnPool(_ loop: IOLoop) async throws {
    let files = try BlockingPool(name: "files", size: 8, queueMax: 200, whenFull: .wait)
    loop.setDefaultExecutor(files)
    let text = try await withTimeout(.seconds(2)) {
        try await loop.runInExecutor { try readCatalogue("/etc/hosts") }
    }
    print("\(text.count) bytes, \(files.waitingCount) callers wait")
    try await files.shutdown()
}
