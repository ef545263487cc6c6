import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

/** NioServer ADDRESS PORT: sends back whatever comes, on any number of connections, in one thread with a selector. */
public class NioServer {
	static final class Echo {
		final ByteBuffer buffer = ByteBuffer.allocateDirect(65536);
		boolean ended;

		void turn(SelectionKey key) throws Exception {
			SocketChannel channel = (SocketChannel) key.channel();
			if (!ended && channel.read(buffer) < 0)
				ended = true;
			buffer.flip();
			channel.write(buffer);
			buffer.compact();
			int wanted = ended || !buffer.hasRemaining() ? 0 : SelectionKey.OP_READ;
			if (buffer.position() > 0)
				wanted |= SelectionKey.OP_WRITE;
			if (wanted == 0)
				channel.close();
			else
				key.interestOps(wanted);
		}
	}

	public static void main(String[] args) throws Exception {
		Selector selector = Selector.open();
		ServerSocketChannel server = ServerSocketChannel.open();
		server.bind(new InetSocketAddress(args[0], Integer.parseInt(args[1])), 128);
		server.configureBlocking(false);
		server.register(selector, SelectionKey.OP_ACCEPT);
		System.out.println("listening");
		while (true) {
			selector.select();
			var keys = selector.selectedKeys();
			for (SelectionKey key : keys) {
				if (!key.isAcceptable()) {
					((Echo) key.attachment()).turn(key);
					continue;
				}
				SocketChannel channel = server.accept();
				if (channel == null)
					continue;
				channel.configureBlocking(false);
				channel.register(selector, SelectionKey.OP_READ, new Echo());
			}
			keys.clear();
		}
	}
}
