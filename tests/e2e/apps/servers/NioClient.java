import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.Random;

/** NioClient ADDRESS PORT CONNECTIONS BYTES: sends BYTES on each connection, ends it, and compares what comes back. */
public class NioClient {
	static final class Stream {
		final byte[] data;
		final ByteBuffer out, in = ByteBuffer.allocateDirect(32768);
		int got;

		Stream(int number, int bytes) {
			data = new byte[bytes];
			new Random(number).nextBytes(data);
			out = ByteBuffer.wrap(data);
		}

		/** True when everything has come back. */
		boolean turn(SelectionKey key) throws Exception {
			SocketChannel channel = (SocketChannel) key.channel();
			if (key.isConnectable()) {
				channel.finishConnect();
				key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
				return false;
			}
			if (key.isWritable() && out.hasRemaining()) {
				channel.write(out);
				if (!out.hasRemaining()) {
					channel.shutdownOutput();
					key.interestOps(SelectionKey.OP_READ);
				}
			}
			in.clear();
			int n = key.isReadable() ? channel.read(in) : 0;
			in.flip();
			while (in.hasRemaining())
				if (got == data.length || in.get() != data[got++])
					throw new Exception("another byte at " + got);
			if (n >= 0)
				return false;
			if (got != data.length)
				throw new Exception("only " + got + " bytes came back");
			channel.close();
			return true;
		}
	}

	public static void main(String[] args) throws Exception {
		Selector selector = Selector.open();
		int connections = Integer.parseInt(args[2]), left = connections;
		for (int i = 0; i < connections; i++) {
			SocketChannel channel = SocketChannel.open();
			channel.configureBlocking(false);
			Stream stream = new Stream(i, Integer.parseInt(args[3]));
			if (channel.connect(new InetSocketAddress(args[0], Integer.parseInt(args[1]))))
				channel.register(selector, SelectionKey.OP_READ | SelectionKey.OP_WRITE, stream);
			else
				channel.register(selector, SelectionKey.OP_CONNECT, stream);
		}
		while (left > 0) {
			selector.select();
			var keys = selector.selectedKeys();
			for (SelectionKey key : keys)
				if (((Stream) key.attachment()).turn(key))
					left--;
			keys.clear();
		}
		System.out.println(connections + " connections: every byte right");
	}
}
